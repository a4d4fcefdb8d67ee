"""What may happen to an order. Pure: no clock, no randomness, no I/O.

    placed ── paid ──> paid ── parcel delivered ──> delivered ── returns window ends ──> closed
       └── cancelled ────┴──> cancelled

An event that was folded before changes and says nothing, wherever the order stands by now: a storefront may
repeat itself at any time, and a replay may repeat a whole stretch.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from schemas.addresses import Recipient
from schemas.deliveries import CopyForgotten, ParcelTracked, TrackingStatus
from schemas.holds import Ground, Hold, HoldConfirmed, HoldReleased
from schemas.ids import OrderId
from schemas.orders import Basket, Invoice, OrderCancelled, OrderPaid, OrderPlaced
from schemas.privacy import Category, Event, Sealed
from schemas.shipments import Service, ShipmentCancelled, ShipmentClosed, ShipmentRequested
from schemas.topics import HOLDS, SHIPMENTS
from services.kernel.decision import Decision, Given, Outgoing, Timer
from services.kernel.errors import RejectedRecord


class Stage(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    PAID = "paid"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class ReturnsWindowEnded(Event):
    """Nobody may return anything of this order any longer; folded when its timer is due."""

    type: ClassVar[str] = "lethe.orders.returns-window-ended.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId


OrderEvent = OrderPlaced | OrderPaid | OrderCancelled | ParcelTracked | CopyForgotten | ReturnsWindowEnded


@dataclass(frozen=True, slots=True)
class Terms:
    """What law and shop lay down about orders."""

    returns_window: timedelta
    statutory_years: int
    """Full calendar years that an invoice is kept after the year it was paid in."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order. A sealed part is None once it was erased, or when it has not come yet (the invoice)."""

    id: str
    subject: str
    stage: Stage
    revision: int
    """Counts the changes of stage; hold events carry it, so that a late one is told from a new one."""
    carrier: str
    basket: Sealed[Basket] | None
    ship_to: Sealed[Recipient] | None
    invoice: Sealed[Invoice] | None = None
    tracking: TrackingStatus | None = None
    """The furthest that the carrier reported."""

    @property
    def was_paid(self) -> bool:
        """Whether it is or ever was paid: only payment leads to a third revision."""
        return self.stage is Stage.PAID or self.revision > 2


WHILE_OPEN = (Category.TRANSACTION, Category.LOGISTICS)
"""What the parties need until the order closes."""
# The invoice is held before it exists: an order that outlives its customer's erasure can still be paid,
# because the keyring then mints only where a ground already stands.
UNPAID = (*WHILE_OPEN, Category.ACCOUNTING)
_OPEN = tuple(Hold(category=each, ground=Ground.OPEN_ORDER) for each in UNPAID)

# Reports carry no sequence: a late repeat looks like a second attempt, so only what is further counts.
_PROGRESS = (
    TrackingStatus.PRE_TRANSIT,
    TrackingStatus.IN_TRANSIT,
    TrackingStatus.OUT_FOR_DELIVERY,
    TrackingStatus.AVAILABLE_FOR_PICKUP,
    TrackingStatus.DELIVERY_FAILED,
    TrackingStatus.RETURN_TO_SENDER,
    TrackingStatus.DELIVERED,
)


def state_key(event: OrderEvent, subject: str) -> str:
    """Return what is decided and parked together: this order of this person.

    The person is part of it so that another person's event with the same order id never blocks this one.
    """
    return f"{subject}/{event.order}"


def decide(terms: Terms, order: Order | None, event: OrderEvent, given: Given) -> Decision[Order | None]:
    """Return the next state and what others must hear; a repeat changes and says nothing.

    Raises `RejectedRecord`: order-unknown, order-foreign (another person's), order-transition.
    """
    if isinstance(event, CopyForgotten):
        return Decision(order)  # Between the carrier and dispatch.
    if order is None:
        return _begin(event, given)
    if order.subject != given.subject:
        raise RejectedRecord(code="order-foreign")
    match event:
        case OrderPlaced():
            return Decision(order)  # The first wins, whatever a later one says.
        case OrderPaid():
            return _pay(terms, order, event, given)
        case OrderCancelled():
            return _cancel(order)
        case ParcelTracked():
            return _track(terms, order, event.status)
        case ReturnsWindowEnded():
            return _close(order)


def _begin(event: OrderEvent, given: Given) -> Decision[Order | None]:
    if isinstance(event, ReturnsWindowEnded):
        return Decision(None)  # The order was erased while its timer waited.
    if not isinstance(event, OrderPlaced):
        raise RejectedRecord(code="order-unknown")
    order = Order(event.order, given.subject, Stage.PLACED, 1, event.carrier, event.basket, event.ship_to)
    return Decision(order, (_confirm(order, _OPEN),))


def _pay(terms: Terms, order: Order, event: OrderPaid, given: Given) -> Decision[Order | None]:
    if order.was_paid:
        return Decision(order)
    if order.stage is not Stage.PLACED or order.ship_to is None:
        raise RejectedRecord(code="order-transition")
    paid = _moved(order, Stage.PAID, invoice=event.invoice)
    requested = ShipmentRequested(
        order=order.id, carrier=order.carrier, service=Service.STANDARD, ship_to=order.ship_to
    )
    until = statutory_end(given.at, terms.statutory_years)
    invoice = Hold(category=Category.ACCOUNTING, ground=Ground.STATUTORY, until=until)
    return Decision(paid, (_ship(paid, requested), _confirm(paid, (invoice,))))


def _cancel(order: Order) -> Decision[Order | None]:
    match order.stage:
        case Stage.CANCELLED:
            return Decision(order)
        case Stage.PLACED:
            cancelled = _moved(order, Stage.CANCELLED)
            return Decision(cancelled, (_release(cancelled, UNPAID),))
        case Stage.PAID:
            cancelled = _moved(order, Stage.CANCELLED)
            revoked = _ship(cancelled, ShipmentCancelled(order=order.id))
            return Decision(cancelled, (revoked, _release(cancelled, WHILE_OPEN)))
        case _:
            raise RejectedRecord(code="order-transition")


def _track(terms: Terms, order: Order, status: TrackingStatus) -> Decision[Order | None]:
    if not order.was_paid:
        raise RejectedRecord(code="order-transition")  # No carrier was ever asked.
    if order.tracking and _PROGRESS.index(status) <= _PROGRESS.index(order.tracking):
        return Decision(order)
    tracked = replace(order, tracking=status)
    if order.stage is not Stage.PAID or status is not TrackingStatus.DELIVERED:
        return Decision(tracked)
    timer = Timer(ReturnsWindowEnded(order=order.id), terms.returns_window)
    return Decision(_moved(tracked, Stage.DELIVERED), timers=(timer,))


def _close(order: Order) -> Decision[Order | None]:
    if order.stage is not Stage.DELIVERED:
        return Decision(order)
    closed = _moved(order, Stage.CLOSED)
    return Decision(closed, (_ship(closed, ShipmentClosed(order=order.id)), _release(closed, WHILE_OPEN)))


def statutory_end(paid_at: datetime, years: int) -> datetime:
    """Return when the law lets go of an invoice: so many years after the end of the year it was paid in."""
    return datetime(paid_at.astimezone(UTC).year + years + 1, 1, 1, tzinfo=UTC)


def _moved(order: Order, stage: Stage, invoice: Sealed[Invoice] | None = None) -> Order:
    return replace(order, stage=stage, revision=order.revision + 1, invoice=invoice or order.invoice)


def _ship(order: Order, event: Event) -> Outgoing:
    return Outgoing(SHIPMENTS.name, order.subject, event)


def _confirm(order: Order, holds: tuple[Hold, ...]) -> Outgoing:
    confirmed = HoldConfirmed(order=order.id, revision=order.revision, holds=holds)
    return Outgoing(HOLDS.name, order.subject, confirmed)


def _release(order: Order, categories: tuple[Category, ...]) -> Outgoing:
    released = HoldReleased(order=order.id, revision=order.revision, categories=categories)
    return Outgoing(HOLDS.name, order.subject, released)
