"""Repeats of anything, at any time, change and say nothing: the property that the edge's duplicates rest on."""

from datetime import UTC, datetime, timedelta

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from schemas.deliveries import CopyForgotten, ParcelTracked, TrackingStatus
from schemas.holds import HoldConfirmed, HoldReleased
from schemas.orders import CancelReason, OrderCancelled, OrderPaid, OrderPlaced
from schemas.privacy import Category, Sealed
from schemas.shipments import ShipmentCancelled, ShipmentClosed, ShipmentRequested
from services.kernel.decision import Given
from services.kernel.errors import RejectedRecord
from services.keyring.grounds import check_hold
from services.orders.domain import ReturnsWindowEnded, Stage, Terms, decide, state_key

TERMS = Terms(timedelta(days=14), 10)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ORDERS, SUBJECTS = ["1" * 32, "2" * 32], ["a" * 32, "b" * 32]


def sealed(text):
    return Sealed(f"aGVhZGVy..{'n' * 16}.{text}.{'t' * 22}")


tokens = st.sampled_from(["one", "two"]).map(sealed)
orders = st.sampled_from(ORDERS)
events = st.one_of(
    st.builds(
        OrderPlaced, order=orders, carrier=st.sampled_from(["swift", "slow"]), basket=tokens, ship_to=tokens
    ),
    st.builds(OrderPaid, order=orders, invoice=tokens),
    st.builds(OrderCancelled, order=orders, reason=st.sampled_from(CancelReason)),
    st.builds(ParcelTracked, order=orders, status=st.sampled_from(TrackingStatus)),
    st.builds(CopyForgotten, order=orders, partner=st.just("swift"), reference=st.just("d" * 32)),
)
# Mostly the first person: the second one only tries to interfere.
steps = st.lists(
    st.tuples(st.sampled_from([SUBJECTS[0]] * 4 + SUBJECTS[1:]), events | st.just("timer")), max_size=40
)


class World:
    """Orders as the fold keeps them, and what was said about them."""

    def __init__(self):
        self.orders = {}
        self.timers = {}
        self.said = []

    def take(self, subject, event):
        """Fold one event; return whether it was accepted, and whether it changed or said anything."""
        before = self.orders.get(event.order)
        cause = Given("cause", subject, "/storefronts/shop", NOON, "f" * 32)
        try:
            decision = decide(TERMS, before, event, cause)
        except RejectedRecord:
            return False, False
        assert state_key(event, subject) == f"{subject}/{event.order}"
        self.orders[event.order] = decision.state
        for timer in decision.timers:
            self.timers[event.order] = subject, timer.event
        self.said += [each.event for each in decision.outgoing]
        return True, decision.state != before or bool(decision.outgoing or decision.timers)


def live(steps):
    """Return a world after these steps, and the events it accepted, in order."""
    world, accepted = World(), []
    for subject, event in steps:
        todo = list(world.timers.values()) if event == "timer" else [(subject, event)]
        for someone, each in todo:
            if isinstance(each, ReturnsWindowEnded):
                del world.timers[each.order]
            if world.take(someone, each)[0]:
                accepted.append((someone, each))
    return world, accepted


@settings(max_examples=300, deadline=None)
@drawn(steps, st.data())
def test_any_earlier_stretch_again_changes_and_says_nothing(steps, data):
    world, accepted = live(steps)
    start = data.draw(st.integers(0, len(accepted)))
    end = data.draw(st.integers(start, len(accepted)))
    for subject, event in accepted[start:end]:
        assert world.take(subject, event) == (True, False)


@settings(max_examples=300, deadline=None)
@drawn(steps)
def test_what_is_said_of_an_order_never_contradicts_itself(steps):
    world, _ = live(steps)
    for order in ORDERS:
        said = [each for each in world.said if each.order == order]
        holds = [each for each in said if isinstance(each, HoldConfirmed | HoldReleased)]
        shipping = [type(each) for each in said if not isinstance(each, HoldConfirmed | HoldReleased)]
        assert [each.revision for each in holds] == sorted({each.revision for each in holds})
        assert shipping in (
            [],
            [ShipmentRequested],
            [ShipmentRequested, ShipmentCancelled],
            [ShipmentRequested, ShipmentClosed],
        )
        check_grounds(world.orders.get(order), holds)


def check_grounds(order, holds):
    """What a finished order still holds is its invoice alone, and only if it was paid."""
    held = {}
    for event in holds:
        if isinstance(event, HoldReleased):
            held = {category: hold for category, hold in held.items() if category not in event.categories}
        else:
            for hold in event.holds:
                check_hold(hold)
                held[hold.category] = hold
    finished = order is not None and order.stage in (Stage.CANCELLED, Stage.CLOSED)
    expected = {Category.ACCOUNTING} if order and order.was_paid else set()
    if order is None:
        assert not held
    elif finished:
        assert set(held) == expected
    else:
        assert set(held) == {Category.TRANSACTION, Category.LOGISTICS, Category.ACCOUNTING}
    if order and order.was_paid:
        assert held[Category.ACCOUNTING].until is not None
