"""What may happen to an order, pair by pair of stage and event."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.deliveries import CopyForgotten, ParcelTracked, TrackingStatus
from schemas.holds import Ground, HoldConfirmed, HoldReleased
from schemas.orders import CancelReason, OrderCancelled, OrderPaid, OrderPlaced
from schemas.privacy import Category, Sealed
from schemas.shipments import ShipmentCancelled, ShipmentClosed, ShipmentRequested
from services.kernel.decision import Given
from services.kernel.errors import RejectedRecord
from services.orders.domain import Order, ReturnsWindowEnded, Stage, Terms, decide, statutory_end

TERMS = Terms(timedelta(days=14), 10)
ORDER, SUBJECT, STRANGER = "a" * 32, "b" * 32, "c" * 32
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sealed(text):
    return Sealed(f"aGVhZGVy..{'n' * 16}.{text}.{'t' * 22}")


def given(subject=SUBJECT, at=NOON):
    return Given(id="cause", subject=subject, source="/storefronts/shop", at=at, fresh="f" * 32)


PLACED = OrderPlaced(order=ORDER, carrier="swift", basket=sealed("basket"), ship_to=sealed("address"))
PAID = OrderPaid(order=ORDER, invoice=sealed("invoice"))
CANCELLED = OrderCancelled(order=ORDER, reason=CancelReason.CUSTOMER)
ON_ITS_WAY = ParcelTracked(order=ORDER, status=TrackingStatus.IN_TRANSIT)
DELIVERED = ParcelTracked(order=ORDER, status=TrackingStatus.DELIVERED)
FORGOTTEN = CopyForgotten(order=ORDER, partner="swift", reference="d" * 32)
WINDOW_ENDED = ReturnsWindowEnded(order=ORDER)

HISTORIES = {
    "unknown": (),
    "placed": (PLACED,),
    "paid": (PLACED, PAID),
    "delivered": (PLACED, PAID, DELIVERED),
    "closed": (PLACED, PAID, DELIVERED, WINDOW_ENDED),
    "cancelled": (PLACED, CANCELLED),
    "cancelled-paid": (PLACED, PAID, CANCELLED),
}
EVENTS = {
    "placed": PLACED,
    "paid": PAID,
    "cancelled": CANCELLED,
    "on-its-way": ON_ITS_WAY,
    "delivered": DELIVERED,
    "forgotten": FORGOTTEN,
    "ended": WINDOW_ENDED,
}
# Rows: where an order stands. `=` changes nothing, `!code` is rejected, anything else is the next stage.
TABLE = """
                placed   paid               cancelled          on-its-way         delivered          forgotten ended
unknown         placed   !order-unknown     !order-unknown     !order-unknown     !order-unknown     =         =
placed          =        paid               cancelled          !order-transition  !order-transition  =         =
paid            =        =                  cancelled          paid               delivered          =         =
delivered       =        =                  !order-transition  =                  =                  =         closed
closed          =        =                  !order-transition  =                  =                  =         =
cancelled       =        !order-transition  =                  !order-transition  !order-transition  =         =
cancelled-paid  =        =                  =                  cancelled          cancelled          =         =
"""
_LINES = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(row[0], event, cell) for row in _LINES[1:] for event, cell in zip(_LINES[0], row[1:], strict=True)]


def told(*events):
    """Fold events of the subject; return the last decision."""
    order, decision = None, None
    for event in events:
        decision = decide(TERMS, order, event, given())
        order = decision.state
    return decision


def standing(history):
    decision = told(*HISTORIES[history])
    return decision.state if decision else None


@pytest.mark.parametrize(("history", "event", "expected"), PAIRS)
def test_every_pair_of_stage_and_event_is_decided(history, event, expected):
    before = standing(history)
    if expected.startswith("!"):
        with pytest.raises(RejectedRecord) as refused:
            decide(TERMS, before, EVENTS[event], given())
        assert refused.value.code == expected[1:]
        return
    decision = decide(TERMS, before, EVENTS[event], given())
    if expected == "=":
        assert (decision.state, decision.outgoing, decision.timers) == (before, (), ())
    else:
        assert decision.state != before
        assert decision.state.stage is Stage(expected)


def test_a_placed_order_is_held_whole_so_that_it_can_still_be_paid_after_an_erasure():
    (confirmed,) = (each.event for each in told(PLACED).outgoing)
    assert isinstance(confirmed, HoldConfirmed)
    assert confirmed.revision == 1
    assert {(hold.category, hold.ground, hold.until) for hold in confirmed.holds} == {
        (Category.TRANSACTION, Ground.OPEN_ORDER, None),
        (Category.LOGISTICS, Ground.OPEN_ORDER, None),
        (Category.ACCOUNTING, Ground.OPEN_ORDER, None),
    }


def test_payment_asks_the_named_carrier_and_passes_the_address_on_unread():
    requested, confirmed = (each.event for each in told(PLACED, PAID).outgoing)
    assert isinstance(requested, ShipmentRequested)
    assert (requested.carrier, requested.ship_to) == ("swift", PLACED.ship_to)
    assert requested.place("ship_to") == PLACED.place("ship_to")
    (hold,) = confirmed.holds
    assert (confirmed.revision, hold.category, hold.ground) == (2, Category.ACCOUNTING, Ground.STATUTORY)
    assert hold.until == datetime(2037, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("paid_at", "until"),
    [
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)),
        (datetime(2027, 1, 1, 1, tzinfo=UTC).astimezone(), datetime(2038, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_statutory_period_begins_when_the_year_ends(paid_at, until):
    assert statutory_end(paid_at, 10) == until


def test_cancelling_before_payment_releases_everything_and_asks_no_carrier():
    (released,) = (each.event for each in told(PLACED, CANCELLED).outgoing)
    assert isinstance(released, HoldReleased)
    assert set(released.categories) == {Category.TRANSACTION, Category.LOGISTICS, Category.ACCOUNTING}


def test_cancelling_after_payment_revokes_the_shipment_and_keeps_the_invoice():
    revoked, released = (each.event for each in told(PLACED, PAID, CANCELLED).outgoing)
    assert isinstance(revoked, ShipmentCancelled)
    assert (released.revision, set(released.categories)) == (3, {Category.TRANSACTION, Category.LOGISTICS})


def test_delivery_starts_the_returns_window_and_its_end_closes_the_order():
    (timer,) = told(PLACED, PAID, DELIVERED).timers
    assert (timer.event, timer.after) == (WINDOW_ENDED, timedelta(days=14))
    closed, released = (each.event for each in told(PLACED, PAID, DELIVERED, WINDOW_ENDED).outgoing)
    assert isinstance(closed, ShipmentClosed)
    assert (released.revision, set(released.categories)) == (4, {Category.TRANSACTION, Category.LOGISTICS})


def test_everything_said_is_keyed_by_the_subject():
    for history in HISTORIES.values():
        for length in range(1, len(history) + 1):
            assert {each.key for each in told(*history[:length]).outgoing} <= {SUBJECT}


def test_tracking_remembers_the_furthest_report_only():
    order = told(PLACED, PAID, ON_ITS_WAY).state
    earlier = ParcelTracked(order=ORDER, status=TrackingStatus.PRE_TRANSIT)
    assert order.tracking is TrackingStatus.IN_TRANSIT
    assert decide(TERMS, order, earlier, given()).state == order


def test_the_first_placement_wins_whatever_a_second_one_says():
    other = OrderPlaced(order=ORDER, carrier="other", basket=sealed("other"), ship_to=sealed("elsewhere"))
    order = told(PLACED).state
    assert decide(TERMS, order, other, given()).state == order


@pytest.mark.parametrize("event", [each for each in EVENTS.values() if each is not FORGOTTEN])
def test_an_order_id_of_another_person_is_refused(event):
    with pytest.raises(RejectedRecord) as refused:
        decide(TERMS, standing("paid"), event, given(STRANGER))
    assert refused.value.code == "order-foreign"


def test_an_order_whose_address_was_erased_is_not_shipped():
    order = Order(ORDER, SUBJECT, Stage.PLACED, 1, "swift", basket=None, ship_to=None)
    with pytest.raises(RejectedRecord) as refused:
        decide(TERMS, order, PAID, given())
    assert refused.value.code == "order-transition"
