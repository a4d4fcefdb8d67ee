"""What the gateway may tell about an erasure request. Pure: no clock, no randomness, no I/O.

Nothing here names a subject or an order: the answer to a storefront survives the person it is about.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from schemas.erasure import CertificateIssued, ErasureRequested, Held, RequestProgressed
from services.kernel.decision import Decision, Given
from services.kernel.errors import RejectedRecord

RECEIVED = "received"
"""Stored here, not yet seen by the erasure worker; every other state is a `RequestState`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What may not die yet: how many scopes (orders) of a category, by which ground, until when."""

    category: str
    ground: str
    until: datetime | None
    scopes: int


@dataclass(frozen=True, slots=True)
class Request:
    """One request as its storefront may see it."""

    id: str
    storefront: str
    commitment: str
    state: str = RECEIVED
    round: int = 0
    joined: str | None = None
    """The earlier request of the same person that this one joined: its progress and certificate stand for both."""
    missing: tuple[str, ...] = ()
    missing_since: datetime | None = None
    kept: tuple[Kept, ...] = ()
    unreadable_at: datetime | None = None
    certificate: str = ""
    """Compact JWS; the newest one, which names the one it supersedes."""
    seen: tuple[str, ...] = ()
    """Ids of the events folded so far, so that an earlier stretch of the topic, read again, changes nothing."""


def decide(
    request: Request | None, event: ErasureRequested | RequestProgressed | CertificateIssued, given: Given
) -> Decision[Request]:
    """Return the request with what the erasure worker says of it.

    What the gateway itself asked is news to it only where its database is older than that.
    """
    if isinstance(event, ErasureRequested):
        return Decision(request or Request(event.request, event.storefront, event.commitment))
    if request is None:
        raise RejectedRecord(code="request-unknown")
    if given.id in request.seen:
        return Decision(request)
    seen = replace(request, seen=(*request.seen, given.id))
    match event:
        case RequestProgressed():
            return Decision(_progressed(seen, event))
        case CertificateIssued():
            return Decision(replace(seen, certificate=event.certificate, round=max(seen.round, event.round)))


def _progressed(request: Request, event: RequestProgressed) -> Request:
    return replace(
        request,
        state=str(event.state),
        round=event.round,
        joined=event.joined or request.joined,
        missing=event.missing,
        missing_since=event.missing_since,
        kept=kept_of(event.retained),
        unreadable_at=event.unreadable_at or request.unreadable_at,
    )


def kept_of(held: tuple[Held, ...]) -> tuple[Kept, ...]:
    """Return held pairs as numbers, without the orders' ids."""
    counted = Counter((str(each.category), str(each.ground), each.until) for each in held)
    ordered = sorted(counted.items(), key=lambda item: (item[0][0], item[0][1], str(item[0][2])))
    return tuple(Kept(category, ground, until, count) for (category, ground, until), count in ordered)
