"""Any earlier stretch of shipments and deliveries again, at any time, changes and says nothing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from schemas.deliveries import CopyForgotten, ParcelTracked, TrackingStatus
from schemas.privacy import Sealed
from schemas.shipments import Service, ShipmentCancelled, ShipmentClosed, ShipmentRequested
from services.dispatch.agreements import Agreement
from services.dispatch.domain import Partner, Terms, decide, erase
from services.dispatch.events import TIMERS
from services.kernel.decision import Given
from services.kernel.errors import RejectedRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = Terms(timedelta(seconds=30), 7 * DAY, 2 * DAY)
SUBJECT, STRANGER = "a" * 32, "b" * 32
ORDERS = ["1" * 32, "2" * 32]
SWIFT = Partner("swift", '{"kid": "k"}', (Agreement("ab" * 32, ("name",), NOON - DAY, NOON + DAY),))

orders = st.sampled_from(ORDERS)
tokens = st.sampled_from(["one", "two"]).map(lambda text: Sealed(f"aGVhZGVy..{'n' * 16}.{text}.{'t' * 22}"))
carriers = st.sampled_from(["swift", "unheard-of"])
events = st.one_of(
    st.builds(
        ShipmentRequested, order=orders, carrier=carriers, service=st.sampled_from(Service), ship_to=tokens
    ),
    st.builds(ShipmentCancelled, order=orders),
    st.builds(ShipmentClosed, order=orders),
    st.builds(ParcelTracked, order=orders, status=st.sampled_from(TrackingStatus)),
    st.tuples(st.just("word"), orders),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), events),
        st.tuples(st.just("timer"), st.sampled_from(TIMERS), orders),
        st.tuples(st.just("registry"), st.booleans()),
        st.tuples(st.just("erase")),
    ),
    max_size=40,
)


class World:
    """Shipments as the fold keeps them, under a registry that comes and goes."""

    def __init__(self):
        self.shipments, self.registry, self.accepted, self.count = {}, {"swift": SWIFT}, [], 0

    def take(self, event, subject=SUBJECT):
        """Fold one event; return whether it changed or said anything."""
        self.count += 1
        before = self.shipments.get(event.order)
        cause = Given("cause", subject, "/workers/orders", NOON, f"{self.count:032x}")
        decision = decide(TERMS, self.registry, before, event, cause)
        if decision.state is not None:
            self.shipments[event.order] = decision.state
        return decision.state != before or bool(decision.outgoing or decision.timers)

    def word(self, order):
        """Return the partner's word on its copy of this order, if it has one."""
        shipment = self.shipments.get(order)
        reference = (shipment and shipment.reference) or "f" * 32
        return CopyForgotten(order=order, partner="swift", reference=reference)

    def erase(self):
        left = {order: erase(TERMS, each, "e" * 32, NOON).state for order, each in self.shipments.items()}
        self.shipments = {order: each for order, each in left.items() if each is not None}
        # What comes in of an erased person from here on is suppressed before it is folded.
        self.accepted = [each for each in self.accepted if not type(each).suppressible]


def live(steps):
    world, erased = World(), False
    for kind, *rest in steps:
        match kind, rest:
            case "registry", [known]:
                world.registry = {"swift": SWIFT} if known else {}
            case "timer", [timer, order]:
                world.take(timer(order=order))
            case "erase", _:
                world.erase()
                erased = True
            case "event", [event]:
                event = world.word(event[1]) if isinstance(event, tuple) else event
                # Nothing of a shipment comes before its request: one topic, one key, one order.
                early = event.order not in world.shipments and not isinstance(event, ShipmentRequested)
                if early or (erased and type(event).suppressible):
                    continue
                world.take(event)
                world.accepted.append(event)
    return world


@settings(max_examples=300, deadline=None)
@drawn(steps, st.data())
def test_any_earlier_stretch_again_changes_and_says_nothing(steps, data):
    world = live(steps)
    start = data.draw(st.integers(0, len(world.accepted)))
    end = data.draw(st.integers(start, len(world.accepted)))
    for event in world.accepted[start:end]:
        assert not world.take(event)


@settings(max_examples=200, deadline=None)
@drawn(steps, orders)
def test_another_person_never_changes_a_shipment(steps, order):
    world = live(steps)
    before = dict(world.shipments)
    token = Sealed(f"aGVhZGVy..{'n' * 16}.other.{'t' * 22}")
    theirs = ShipmentRequested(order=order, carrier="swift", service=Service.STANDARD, ship_to=token)
    try:
        world.take(theirs, STRANGER)
    except RejectedRecord as refused:
        assert refused.code == "shipment-foreign"
        assert world.shipments == before
    else:
        assert order not in before
