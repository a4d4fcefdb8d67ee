"""What may happen to a shipment and to the carrier's copy of its address. Pure: no clock, no randomness, no I/O.

    held ── an agreement appears ──> offered ── cancelled, closed, erased, agreement ended ──> revoked ──> forgotten
      └── cancelled, closed ──> dropped

One shipment has one copy at most, under one random reference. What a partner does with its copy is its word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from schemas.addresses import Recipient
from schemas.deliveries import CopyForgotten, ParcelTracked
from schemas.envelope import to_the_hour
from schemas.partners import CopyErased, CopyRevoked, ParcelReported, RevocationReason
from schemas.privacy import Event, Sealed
from schemas.shipments import Service, ShipmentCancelled, ShipmentClosed, ShipmentRequested
from schemas.topics import DELIVERIES, PARTNER_LOG, for_carrier
from services.dispatch.agreements import Agreement, in_force
from services.dispatch.events import AcknowledgementMissed, AgreementEnded, LabelDue, ShipmentRetried
from services.kernel.decision import Decision, Given, Outgoing, Timer
from services.kernel.errors import RejectedRecord

LOG_CLEARS = PARTNER_LOG + timedelta(hours=1, minutes=10)
"""When Kafka has dropped a record: it drops whole segments (of one hour), and looks for old ones every five minutes.

Counted from the decision: a label leaves within seconds of it, unless Kafka itself is away.
"""


class Stage(StrEnum):
    """Where a shipment stands."""

    HELD = "held"
    """Nothing was sent: no valid agreement. Visible, not lost."""
    OFFERED = "offered"
    REVOKED = "revoked"
    FORGOTTEN = "forgotten"
    """The partner says that it has erased its copy."""
    DROPPED = "dropped"
    """Ended while it was held: the partner never had a copy."""


UNSEEN = (Stage.HELD, Stage.DROPPED)
"""No partner has heard of these."""


ShipmentEvent = (
    ShipmentRequested
    | ShipmentCancelled
    | ShipmentClosed
    | ParcelTracked
    | CopyForgotten
    | ShipmentRetried
    | AgreementEnded
    | AcknowledgementMissed
)


@dataclass(frozen=True, slots=True)
class Partner:
    """A carrier in the registry."""

    id: str
    key: str
    """Its public key: a JWK in JSON."""
    agreements: tuple[Agreement, ...] = ()


Registry = Mapping[str, Partner]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is laid down about held shipments and about acknowledgements."""

    retry_held: timedelta
    acknowledge_within: timedelta
    revoke_again: timedelta
    """Shorter than the partner's topic keeps a revocation, so that a partner who was away finds one."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """One shipment and the carrier's copy. After an erasure only what the acknowledgement needs is left."""

    order: str
    subject: str
    partner: str
    stage: Stage
    service: Service | None = None
    code: str | None = None
    """Why it is held."""
    ship_to: Sealed[Recipient] | None = None
    """Kept while it is held only."""
    reference: str | None = None
    reason: RevocationReason | None = None
    log_clear_at: datetime | None = None
    """When the partner's topic has dropped the copy that was sent, to the hour."""
    due_at: datetime | None = None
    """When the partner must have acknowledged, to the hour."""
    request: str | None = None
    """Set once its person is erased: the request that waits for the acknowledgement."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a reference stands for. No subject: its acknowledgement came in, and the link was cut."""

    reference: str
    partner: str
    subject: str | None = None
    order: str | None = None


def decide(
    terms: Terms, registry: Registry, shipment: Shipment | None, event: ShipmentEvent, given: Given
) -> Decision[Shipment | None]:
    """Return the next state and what others must hear; a repeat changes and says nothing.

    Raises `RejectedRecord("shipment-foreign")` for an order that is another person's.
    """
    if shipment is None:
        return _begin(terms, registry, event, given)
    match shipment.stage, event:
        case _, ShipmentRequested() if shipment.subject != given.subject:
            raise RejectedRecord(code="shipment-foreign")
        case Stage.HELD, ShipmentRetried():
            return _offer(terms, registry, shipment, given)
        case Stage.HELD, ShipmentCancelled() | ShipmentClosed():
            return Decision(replace(shipment, stage=Stage.DROPPED, code=None, ship_to=None))
        case Stage.OFFERED, ShipmentCancelled():
            return revoke(terms, shipment, RevocationReason.CANCELLED, given.at)
        case Stage.OFFERED, ShipmentClosed():
            return revoke(terms, shipment, RevocationReason.COMPLETED, given.at)
        case Stage.OFFERED, AgreementEnded():
            return _end_agreement(terms, registry, shipment, given)
        case Stage.OFFERED | Stage.REVOKED, CopyForgotten(reference=shipment.reference):
            return Decision(_forgotten(shipment))
        case Stage.REVOKED, AcknowledgementMissed():
            return Decision(shipment, (_revocation(shipment),), (_reminder(terms, shipment),))
        case _:
            return Decision(shipment)


def _begin(terms: Terms, registry: Registry, event: ShipmentEvent, given: Given) -> Decision[Shipment | None]:
    if not isinstance(event, ShipmentRequested):
        return Decision(None)  # Erased since; what belongs to it may still come in.
    asked = Shipment(
        event.order, given.subject, event.carrier, Stage.HELD, event.service, ship_to=event.ship_to
    )
    return _offer(terms, registry, asked, given)


def _offer(terms: Terms, registry: Registry, shipment: Shipment, given: Given) -> Decision[Shipment | None]:
    """Offer it under a fresh reference, or hold it and look again later."""
    partner = registry.get(shipment.partner)
    agreement = _agreement(partner, given.at)
    if partner is None or isinstance(agreement, str):
        held = replace(shipment, code=str(agreement))
        return Decision(held, timers=(Timer(ShipmentRetried(order=shipment.order), terms.retry_held),))
    assert shipment.ship_to and shipment.service  # What is held has both.
    label = LabelDue(
        order=shipment.order,
        reference=given.fresh,
        service=shipment.service,
        ship_to=shipment.ship_to,
        fields=agreement.fields,
        key=partner.key,
    )
    offered = replace(
        shipment,
        stage=Stage.OFFERED,
        code=None,
        ship_to=None,
        reference=given.fresh,
        log_clear_at=hour_after(given.at + LOG_CLEARS),
    )
    sent = Outgoing(out_topic(partner.id), given.fresh, label, subject=shipment.subject, partner=partner.id)
    return Decision(offered, (sent,), (_until_end(shipment, agreement, given.at),))


def _end_agreement(
    terms: Terms, registry: Registry, shipment: Shipment, given: Given
) -> Decision[Shipment | None]:
    """Revoke the copy, unless another agreement has taken over."""
    agreement = _agreement(registry.get(shipment.partner), given.at)
    if isinstance(agreement, Agreement):
        return Decision(shipment, timers=(_until_end(shipment, agreement, given.at),))
    return revoke(terms, shipment, RevocationReason.AGREEMENT_ENDED, given.at)


def _agreement(partner: Partner | None, at: datetime) -> Agreement | str:
    return in_force(partner.agreements, at) if partner else "partner-unknown"


def revoke(
    terms: Terms, shipment: Shipment, reason: RevocationReason, at: datetime
) -> Decision[Shipment | None]:
    """Tell the partner to erase its copy, and again until it says that it has (D4)."""
    due_at = hour_after(at + terms.acknowledge_within)
    revoked = replace(shipment, stage=Stage.REVOKED, reason=reason, due_at=due_at)
    return Decision(revoked, (_revocation(revoked),), (_reminder(terms, revoked),))


def erase(terms: Terms, shipment: Shipment, request: str, at: datetime) -> Decision[Shipment | None]:
    """Return what is left of a shipment whose person is erased, and what its partner must hear.

    Nothing, if the partner never had a copy. Else reference, partner and request until the acknowledgement
    comes in; from then on that it did, without the reference.
    """
    if shipment.stage in UNSEEN:
        return Decision(None)
    if shipment.request is not None:
        return Decision(replace(shipment, request=request))
    bare = replace(shipment, service=None, request=request)
    match bare.stage:
        case Stage.OFFERED:
            return revoke(terms, bare, RevocationReason.ERASED, at)
        case Stage.FORGOTTEN:
            return Decision(_forgotten(bare))
        case _:
            return Decision(bare, timers=(_reminder(terms, bare),))


def _forgotten(shipment: Shipment) -> Shipment:
    # A reference leads the partner to a person: once nobody waits for its word, nothing here leads to it.
    reference = None if shipment.request else shipment.reference
    return replace(shipment, stage=Stage.FORGOTTEN, reference=reference, due_at=None)


def report(copy: Copy | None, partner: str, event: ParcelReported | CopyErased) -> tuple[Outgoing, ...]:
    """Return a partner's update as an event of the subject whose parcel it is; nothing once the link was cut.

    Raises `RejectedRecord`: reference-unknown, reference-foreign (another partner's).
    """
    if copy is None:
        raise RejectedRecord(code="reference-unknown")
    if copy.partner != partner:
        raise RejectedRecord(code="reference-foreign")
    if copy.subject is None or copy.order is None:
        return ()
    said: Event
    if isinstance(event, ParcelReported):
        said = ParcelTracked(order=copy.order, status=event.status)
    else:
        said = CopyForgotten(order=copy.order, partner=partner, reference=copy.reference)
    return (Outgoing(DELIVERIES.name, copy.subject, said),)


@lru_cache
def out_topic(partner: str) -> str:
    """Return the topic that a carrier reads."""
    return for_carrier(partner)[0].name


def hour_after(moment: datetime) -> datetime:
    """Return the first full hour at or after a moment: exact times single people out, and late is safe."""
    hour = to_the_hour(moment)
    return hour if hour == moment else hour + timedelta(hours=1)


def _until_end(shipment: Shipment, agreement: Agreement, at: datetime) -> Timer:
    return Timer(AgreementEnded(order=shipment.order), agreement.ends_at - at)


def _reminder(terms: Terms, shipment: Shipment) -> Timer:
    return Timer(AcknowledgementMissed(order=shipment.order), terms.revoke_again)


def _revocation(shipment: Shipment) -> Outgoing:
    assert (
        shipment.reference and shipment.reason
    )  # What was offered has a reference, what is revoked a reason.
    return Outgoing(
        out_topic(shipment.partner),
        shipment.reference,
        None,
        type=CopyRevoked.type,
        headers={"reason": shipment.reason},
    )
