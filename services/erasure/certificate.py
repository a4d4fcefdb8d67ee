"""What the platform signs about an erasure: what died, what is kept, what rests on whose word.

Names no subject and no person; every field is classified as clear. The docstrings here are the descriptions
in `certificate.schema.json`, which is generated: `python -m services.erasure.certificate`.
"""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from schemas.erasure import Commitment, Count, Moment, Round, SignedStatement
from schemas.holds import Ground
from schemas.ids import Owner, PartnerId, RequestId, Scope
from schemas.privacy import Category, Clear, Contract
from schemas.statements import PendingKek

POLICY_FORM = r"^[A-Za-z0-9._-]{1,32}$"
SCHEMA = Path(__file__).with_name("certificate.schema.json")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PolicyVersion = Annotated[str, StringConstraints(pattern=POLICY_FORM)]
Claim = AwareDatetime | Literal["not-claimed"]

DOES_NOT_COVER = {
    "other-subject-ids": "Other subject ids that the same person has used, such as those of guest checkouts.",
    "partners-own-systems": "Copies in partners' own systems: what stands under `partners` is their word.",
    "published-statistics": "Statistics over crowds that were published before; they name nobody.",
    "request-record": "The record of this request itself: random ids, states, counts and dates.",
    "log-records": "Records in the event log until each topic's retention ends: their personal values are"
    " unreadable, their random ids and event types are not; the logs of commands and of holds, which hold"
    " random ids only, are kept.",
    "keyring-thief": "Who copied the keyring's database before its keys were rotated and has the KEK file of"
    " that time: such a copy opens what it could open then.",
    "operator-backups": "Backups that the operator made outside the platform.",
}
"""What no certificate claims."""


class Part(Contract):
    """A part of a certificate; its docstrings are published as descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class JoinedRequest(Part):
    """A later request for the same subject, answered by the same certificate."""

    request: RequestId
    """Id of the request."""
    commitment: Commitment
    """Its own commitment, under its own salt."""


class Registry(Part):
    """Who was asked."""

    version: Annotated[Sha256, Clear("a hash over names")]
    """SHA-256 of the owner registry: the owners, and the matrix of who may read, write and open what."""
    owners: Annotated[tuple[Owner, ...], Field(strict=False), Clear("names of workers")]
    """Every worker that keeps rows about subjects; each has answered below."""


class KeyringPart(Part):
    """What the keyring says."""

    statement: SignedStatement
    """The keyring's own signed statement of this round, whole; signed with a key of its own."""
    destroyed: Count
    """Keys of the subject destroyed so far, all rounds together, as the statement says."""
    keks_pending: Annotated[tuple[PendingKek, ...], Field(strict=False), Clear("classified field by field")]
    """KEK versions that could unwrap a stale copy of a destroyed key until they are destroyed themselves."""


class OwnerPart(Part):
    """What one owner of data did, in its own words and counts of rows."""

    owner: Owner
    """Name of the worker."""
    outcome: Annotated[Literal["erased", "retained", "nothing-held"], Clear("an enumeration")]
    """`retained`: something is kept by a ground below; `nothing-held`: nothing was found."""
    erased: Count
    """Rows deleted in this round."""
    anonymised: Count
    """Rows stripped of everything that leads to a person, in this round."""
    retained: Count
    """(order, category) pairs kept because a ground holds them."""
    erased_before: Count
    """Rows deleted in earlier rounds."""
    anonymised_before: Count
    """Rows anonymised in earlier rounds."""
    done_at: Moment
    """When the transaction that did it began."""


class RetainedPart(Part):
    """What may not die yet, by which ground, until when; it dies by itself when the ground ends."""

    ground: Annotated[Ground, Clear("an enumeration")]
    """`provisional`: an event nobody has handled yet; `open-order`; `statutory`: kept by law."""
    category: Annotated[Category, Clear("an enumeration")]
    """Kind of data."""
    until: Annotated[AwareDatetime | None, Clear("a date set by a rule")] = None
    """When the ground ends by itself; null: when the order closes."""
    scopes: Annotated[tuple[Scope, ...], Field(strict=False, min_length=1), Clear("random ids of orders")]
    """The orders."""


class PartnerPart(Part):
    """What a partner was told, and what it says. Its word, not our fact."""

    partner: PartnerId
    """Name of the partner."""
    told_by: Owner
    """Worker that deals with the partner."""
    revoked: Count
    """Copies the partner was told to erase."""
    acknowledged: Count
    """Copies the partner says it has erased."""
    outstanding: Count
    """Copies it has not answered for."""
    due_at: Annotated[AwareDatetime | None, Clear("a deadline of a partner")] = None
    """When the outstanding answers are due; null: none is outstanding."""
    log_clear_at: Annotated[AwareDatetime | None, Clear("when a topic has dropped a record")] = None
    """When the partner's topic has dropped its last copy of the subject's data; null: not known."""


class Times(Part):
    """When what became true."""

    verified_at: Moment
    """When the verified request was taken up."""
    destroyed_at: Moment
    """When the keyring destroyed the keys of this round."""
    unreadable_at: Moment
    """From here on no worker holds an opened key of them."""
    clear_columns_gone_at: Moment
    """When the last owner had removed its rows, random ids and states included."""
    partner_log_clear_at: Annotated[Claim | None, Clear("when a topic has dropped a record")]
    """When no partner's topic has a copy any more; null: no partner was sent anything."""
    unrecoverable_from_backups_at: Annotated[Claim, Clear("when the platform acted")]
    """When no backup of the keyring can bring a destroyed key back."""


class Exclusion(Part):
    """Something this certificate does not speak of."""

    about: Annotated[Literal[tuple(DOES_NOT_COVER)], Clear("a constant")]  # type: ignore[valid-type]
    """A name for programs."""
    says: Annotated[Literal[tuple(DOES_NOT_COVER.values())], Clear("a constant")]  # type: ignore[valid-type]
    """The same for people."""


class Certificate(Part):
    """The payload of an erasure certificate, a compact JWS (EdDSA, `typ` lethe-certificate+jwt)."""

    typ: ClassVar[str] = "lethe-certificate+jwt"

    format: Annotated[Literal["lethe-certificate/1"], Clear("a constant")] = "lethe-certificate/1"
    """Version of this format."""
    request: RequestId
    """The request that this certificate answers."""
    commitment: Commitment
    """SHA-256 of `<salt>.<subject id>` in base64url: only who holds the salt can tie it to a subject."""
    joined: Annotated[tuple[JoinedRequest, ...], Field(strict=False), Clear("classified field by field")]
    """Later requests for the same subject."""
    round: Round
    """A request has a further round whenever a ground ends; the last round's certificate counts."""
    supersedes: Annotated[Sha256 | None, Clear("a hash of a certificate")]
    """SHA-256 of the certificate (its JWS text) that this one replaces; null for the first."""
    issued_at: Moment
    """When it was signed."""
    policy_version: Annotated[PolicyVersion, Clear("names a version of the privacy policy")]
    """Version of the privacy policy in force when the request came."""
    registry: Annotated[Registry, Clear("classified field by field")]
    """Who was asked."""
    keyring: Annotated[KeyringPart, Clear("classified field by field")]
    """Which keys died."""
    owners: Annotated[tuple[OwnerPart, ...], Field(strict=False), Clear("classified field by field")]
    """What every owner did."""
    retained: Annotated[tuple[RetainedPart, ...], Field(strict=False), Clear("classified field by field")]
    """What is kept, equal to what the keyring's statement lists as held."""
    partners: Annotated[tuple[PartnerPart, ...], Field(strict=False), Clear("classified field by field")]
    """What rests on a partner's word."""
    times: Annotated[Times, Clear("classified field by field")]
    """When what became true."""
    does_not_cover: Annotated[tuple[Exclusion, ...], Field(strict=False), Clear("classified field by field")]
    """What this certificate does not claim."""


def published_schema() -> dict[str, Any]:
    """Return the JSON Schema of the payload."""
    schema = Certificate.model_json_schema(mode="serialization")
    # A reference to another part loses its own description on the way.
    for name, field in Certificate.model_fields.items():
        schema["properties"][name].setdefault("description", field.description)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schema() -> None:
    """Write the published schema."""
    SCHEMA.write_text(json.dumps(published_schema(), indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schema()
