"""What a partner has signed: which fields, for what, from when to when (D2, D3). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.errors import ContractError
from schemas.strict_json import parse, read
from services.dispatch.projection import FIELDS
from services.kernel.errors import RejectedRecord

SCOPE = "shipments"
"""What a carrier's agreement is about; agreements of other scopes cover nothing here."""
FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Agreement:
    """A signed agreement as the registry knows it; the document itself stays with whoever signed it."""

    sha256: str
    """Of the signed document, in hexadecimal."""
    fields: tuple[str, ...]
    """Which parts of a recipient the partner gets, and no more."""
    valid_from: datetime
    valid_to: datetime
    """Never of force at this moment or later."""
    ended_at: datetime | None = None
    """When it was revoked before its time."""
    scope: str = SCOPE

    @property
    def ends_at(self) -> datetime:
        """When it ends or ended."""
        return min(self.valid_to, self.ended_at) if self.ended_at else self.valid_to

    def valid(self, at: datetime) -> bool:
        """Say whether it allows anything at this moment."""
        return self.scope == SCOPE and self.valid_from <= at < self.ends_at


def in_force(agreements: Iterable[Agreement], at: datetime) -> Agreement | str:
    """Return the agreement that applies (of several the one that lasts longest), or the code of why there is none."""
    known = [each for each in agreements if each.scope == SCOPE]
    valid = [each for each in known if each.valid(at)]
    if valid:
        return max(valid, key=lambda each: (each.ends_at, each.sha256))
    if any(at < each.valid_from and each.ends_at > each.valid_from for each in known):
        return "agreement-not-yet-valid"
    return "agreement-ended" if known else "agreement-missing"


class _File(BaseModel):
    """An agreement as `lethe partners add` reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    fields: Annotated[tuple[Literal[FIELDS], ...], Field(min_length=1)]  # type: ignore[valid-type]
    valid_from: AwareDatetime
    valid_to: AwareDatetime
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scope: Literal["shipments"]

    @model_validator(mode="after")
    def _in_order(self) -> "_File":
        if self.valid_from >= self.valid_to or len(set(self.fields)) != len(self.fields):
            raise ValueError("ends before it begins, or names a field twice")
        return self


def read_agreement(text: bytes) -> Agreement:
    """Return the agreement of a JSON text; raise `RejectedRecord("agreement-invalid")` with the path of a field."""
    try:
        file = read(_File, parse(text, FILE_BYTES))
    except ContractError as error:
        raise RejectedRecord("agreement-invalid", why=error.code, field_path=error.path) from None
    return Agreement(file.sha256, file.fields, file.valid_from, file.valid_to, scope=file.scope)
