"""What travels on `holds`: why a key may not die yet, said by the worker that knows (design of grounds)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from schemas.ids import Scope
from schemas.privacy import Category, Clear, Contract, Event


class Ground(StrEnum):
    """Why personal data is kept although its subject may have asked for erasure."""

    PROVISIONAL = "provisional"
    """An event that nobody has handled yet."""
    OPEN_ORDER = "open-order"
    STATUTORY = "statutory"


Revision = Annotated[int, Field(ge=1), Clear("counts the changes of one order")]


class Hold(Contract):
    """One category of a scope is kept by one ground, until a date or until released."""

    category: Annotated[Category, Clear("an enumeration")]
    ground: Annotated[Ground, Clear("an enumeration")]
    until: Annotated[AwareDatetime | None, Clear("a statutory date, the end of a year")] = None


class HoldConfirmed(Event):
    """These categories of the scope are held from now on; replaces what was said of them with a lower revision."""

    type: ClassVar[str] = "lethe.hold.confirmed.v1"
    scope_field: ClassVar[str | None] = "order"
    suppressible: ClassVar[bool] = False

    order: Scope
    revision: Revision
    holds: Annotated[tuple[Hold, ...], Field(min_length=1, strict=False), Clear("classified field by field")]


class HoldReleased(Event):
    """No ground holds these categories of the scope any longer."""

    type: ClassVar[str] = "lethe.hold.released.v1"
    scope_field: ClassVar[str | None] = "order"
    suppressible: ClassVar[bool] = False

    order: Scope
    revision: Revision
    categories: Annotated[tuple[Category, ...], Field(min_length=1, strict=False), Clear("an enumeration")]
