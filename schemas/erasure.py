"""What travels on the erasure topics: request, command, receipt, certificate (R3). Nothing here is personal."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field, StringConstraints

from schemas.holds import Ground
from schemas.ids import Owner, PartnerId, RequestId, Scope, StorefrontId
from schemas.privacy import Category, Clear, Contract, Event

Round = Annotated[int, Field(ge=1), Clear("counts the rounds of one request")]
Count = Annotated[int, Field(ge=0), Clear("a count of rows")]
Moment = Annotated[AwareDatetime, Clear("when the platform acted, not when a person did")]
Commitment = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$"),
    Clear("SHA-256 of a salt that only the requester holds, and the subject id"),
]
SignedStatement = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=750_000),
    Clear("a compact JWS without personal data"),
]


class Held(Contract):
    """One (scope, category) pair that may not die yet, by which ground, until when."""

    scope: Scope
    category: Annotated[Category, Clear("an enumeration")]
    ground: Annotated[Ground, Clear("an enumeration")]
    until: Annotated[AwareDatetime | None, Clear("a statutory date, the end of a year")] = None


HeldPairs = Annotated[tuple[Held, ...], Field(strict=False), Clear("classified field by field")]


class ErasureEvent(Event):
    """Base of the fan-out's own messages: none of them is ever suppressed."""

    suppressible: ClassVar[bool] = False

    request: RequestId


class ErasureRequested(ErasureEvent):
    """A verified wish to be forgotten; the storefront's authenticated call is the verification."""

    type: ClassVar[str] = "lethe.erasure.requested.v1"

    storefront: StorefrontId
    commitment: Commitment


class Destroy(ErasureEvent):
    """Command to the keyring: destroy every key of the subject that no ground holds."""

    type: ClassVar[str] = "lethe.erasure.destroy.v1"

    round: Round


class Erase(ErasureEvent):
    """Command to every owner: remove or anonymise what you hold of the subject, but for these pairs."""

    type: ClassVar[str] = "lethe.erasure.erase.v1"

    round: Round
    but: HeldPairs = ()


class KeysDestroyed(ErasureEvent):
    """The keyring's receipt: what died, what is held, and the same as its own signed statement."""

    type: ClassVar[str] = "lethe.erasure.keys-destroyed.v1"

    round: Round
    destroyed: Count
    """Keys destroyed so far, over all rounds."""
    held: HeldPairs
    destroyed_at: Moment
    unreadable_at: Moment
    """No lease on a destroyed key outlives this moment."""
    statement: SignedStatement


class GroundEnded(ErasureEvent):
    """The keyring says that a held pair of an erasing subject has died: the next round is due."""

    type: ClassVar[str] = "lethe.erasure.ground-ended.v1"

    ended: HeldPairs


class PartnerCopy(Contract):
    """What one partner was told and said about its copies of the subject's data."""

    partner: PartnerId
    revoked: Count
    acknowledged: Count
    """The partner's word, not our fact."""
    due_at: Annotated[AwareDatetime | None, Clear("when the missing acknowledgements are due")] = None
    log_clear_at: Annotated[
        AwareDatetime | None, Clear("when the partner's topic has dropped its last copy")
    ] = None


class Receipt(ErasureEvent):
    """An owner's answer to one round of `Erase`, written in the transaction that did what it says."""

    type: ClassVar[str] = "lethe.erasure.receipt.v1"

    round: Round
    owner: Owner
    stored: Annotated[bool, Clear("whether the owner ever stored for this subject")]
    erased: Count = 0
    anonymised: Count = 0
    retained: HeldPairs = ()
    partners: Annotated[tuple[PartnerCopy, ...], Field(strict=False), Clear("classified field by field")] = ()
    done_at: Moment


class PartnerAcknowledged(ErasureEvent):
    """Dispatch says that a partner's word arrived after its receipt: the certificate is due again."""

    type: ClassVar[str] = "lethe.erasure.partner-acknowledged.v1"

    owner: Owner
    partners: Annotated[tuple[PartnerCopy, ...], Field(strict=False), Clear("classified field by field")]


class RequestState(StrEnum):
    """Where a request stands; `incomplete` until every owner has answered."""

    VERIFIED = "verified"
    DESTROYED = "destroyed"
    FANNED_OUT = "fanned-out"
    INCOMPLETE = "incomplete"
    CERTIFIED = "certified"


class RequestProgressed(ErasureEvent):
    """What the gateway may tell the storefront about a request."""

    type: ClassVar[str] = "lethe.erasure.progressed.v1"

    state: Annotated[RequestState, Clear("an enumeration")]
    round: Round
    joined: Annotated[
        str | None, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Clear("an earlier request")
    ] = None
    missing: Annotated[tuple[Owner, ...], Field(strict=False), Clear("names of workers")] = ()
    missing_since: Annotated[AwareDatetime | None, Clear("when the platform asked them")] = None
    retained: HeldPairs = ()
    unreadable_at: Annotated[AwareDatetime | None, Clear("when no lease is left")] = None


class CertificateIssued(ErasureEvent):
    """A signed certificate; supersedes the request's earlier ones."""

    type: ClassVar[str] = "lethe.erasure.certificate-issued.v1"

    round: Round
    certificate: SignedStatement
