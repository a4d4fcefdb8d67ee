"""One stream of orders, undisturbed and while everything is killed: the same rows, the same partner records."""

import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import stack as platforms
from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from tests.acceptance.conftest import SETTINGS
from tests.fixtures import evidence
from tests.fixtures.carrier import OFFERED, Carrier
from tests.fixtures.evidence import Entry, Position, await_
from tests.fixtures.outcome import Outcome, expected_stage, finished, outcomes, unmet
from tests.fixtures.shop import Shop
from tests.fixtures.stream import TAKEN_BACK, Background, Flow, Plan, plans, recipient

ORDERS = int(os.environ.get("LETHE_STREAM_ORDERS", "5000"))
PATIENCE_SECONDS = 420.0
PORTIONS = 12
SESSION_SECONDS = 8
"""After so long without a sign of life a worker's lanes go to another one, on the local platform."""
FEW_FIELDS = ("name", "address_lines", "city", "postal_code", "country")


@dataclass
class Run:
    """One stream that has come to its end, and everything that was read of it then."""

    stream: list[Plan]
    outcomes: dict[int, Outcome]
    since: dict[Position, int]
    repeats: int
    seconds: float


@dataclass
class Scene:
    """A platform, a shop, and two carriers of which one gets less than the other."""

    stack: Stack
    shop: Shop
    carriers: list[Carrier]


@pytest.fixture(scope="module")
def scene(battered: Stack, folder: Path) -> Iterator[Scene]:
    carriers = [
        Carrier.sign(battered, folder, "swift").start(),
        Carrier.sign(battered, folder, "snail", fields=FEW_FIELDS).start(),
    ]
    yield Scene(battered, Shop.open(battered, folder), carriers)
    for carrier in carriers:
        carrier.stop()


def run(scene: Scene, storm: "Storm | None" = None) -> Run:
    """Send a stream, under a storm or not, and wait until every order has met its fate."""
    since, began = evidence.marks(scene.stack), time.monotonic()
    stream = plans(ORDERS, [carrier.name for carrier in scene.carriers])
    flow = Flow(scene.shop, stream, PORTIONS)
    sending = Background(flow.send)
    flow.let_go() if storm else flow.let_go(PORTIONS)
    if storm:
        storm.rage(flow)
    sending.join(PATIENCE_SECONDS)
    try:
        await_("every order has met its fate", lambda: finished(scene.stack, stream), PATIENCE_SECONDS)
    except AssertionError:
        words = evidence.last_words(scene.stack)
        pytest.fail(f"orders stand at {unmet(scene.stack, stream)}; {words}")
    await_("every outgoing row is published", lambda: evidence.unpublished(scene.stack) == 0)
    seconds = time.monotonic() - began
    print(f"\n{ORDERS} orders {'through a storm' if storm else 'undisturbed'} in {seconds:.1f} s")
    return Run(
        stream, outcomes(scene.stack, stream, scene.carriers, since), since, scene.shop.repeats, seconds
    )


class Storm:
    """Kills every worker, the broker and both databases once, lets instances join, leave and hang, and repairs."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.killed: list[str] = []
        self._stopped_at = 0.0
        self._guests: list[str] = []

    def rage(self, flow: Flow) -> None:
        """One blow per portion of the stream, while that portion is on its way."""
        for blow in (
            self.let_two_orders_join, self.kill_one_orders, self.kill_the_carriers, self.freeze_a_guest,
            self.kill_the_keyring, self.kill_the_data, self.thaw_the_guest, self.kill_the_broker,
            self.kill_the_gateway, self.let_the_guests_leave, self.kill_the_keys_and_the_erasure,
        ):  # fmt: skip
            blow()
            flow.let_go()

    @property
    def stack(self) -> Stack:
        return platforms.attach(self._state)

    def repair(self) -> None:
        platforms.start(self._state, only=evidence.WORKERS, settings=SETTINGS)

    def kill(self, *instances: str) -> None:
        found = self.stack
        for instance in instances:
            found.kill(instance)
            self.killed.append(instance)

    def let_two_orders_join(self) -> None:
        self._guests = [self.stack.add("orders") for _ in range(2)]

    def kill_one_orders(self) -> None:
        self.kill("orders-1")

    def kill_the_carriers(self) -> None:
        self.kill("carriers-1")
        self.repair()

    def freeze_a_guest(self) -> None:
        """Longer than its session: its lanes go to others, and then it wakes with what it had in hand."""
        self.stack.kill(self._guests[0], signal.SIGSTOP)
        self._stopped_at = time.monotonic()

    def kill_the_keyring(self) -> None:
        self.kill("keyring-1")
        self.repair()

    def kill_the_data(self) -> None:
        self.kill("postgres-data")
        self.repair()

    def thaw_the_guest(self) -> None:
        time.sleep(max(0.0, 1.5 * SESSION_SECONDS - (time.monotonic() - self._stopped_at)))
        self.stack.kill(self._guests[0], signal.SIGCONT)

    def kill_the_broker(self) -> None:
        self.kill("kafka")
        self.repair()

    def kill_the_gateway(self) -> None:
        self.kill("gateway-1")
        self.repair()

    def let_the_guests_leave(self) -> None:
        gone = [guest for guest in self._guests if self._gone(guest)]
        assert not gone, evidence.last_words(self.stack)
        for guest in self._guests:
            self.stack.kill(guest, signal.SIGTERM)
        for guest in self._guests:
            await_(f"{guest} leaves", lambda name=guest: self._gone(name))

    def kill_the_keys_and_the_erasure(self) -> None:
        self.kill("postgres-keyring", "erasure-1")
        self.repair()

    def _gone(self, instance: str) -> bool:
        try:
            self.stack.pid(instance)
        except PlatformUnavailable:
            return True
        return False


@pytest.fixture(scope="module")
def calm(scene: Scene) -> Run:
    return run(scene)


@pytest.fixture(scope="module")
def stormy(scene: Scene, calm: Run) -> Run:
    storm = Storm(scene.stack.state)
    done = run(scene, storm)
    everything = {"orders-1", "carriers-1", "keyring-1", "gateway-1", "erasure-1"}
    assert set(storm.killed) == everything | {"kafka", "postgres-data", "postgres-keyring"}
    return done


@pytest.mark.slow
@pytest.mark.parametrize("weather", ["calm", "stormy"])
def test_every_order_meets_its_fate_and_every_carrier_reads_its_labels(
    weather: str, request: pytest.FixtureRequest
) -> None:
    """None lost, none doubled: one label per paid order, with the agreed fields, and one revocation (U2, D2, D4)."""
    found: Run = request.getfixturevalue(weather)
    for plan in found.stream:
        outcome = found.outcomes[plan.number]
        order, shipment = expected_stage(plan)
        assert outcome.order and outcome.order["stage"] == order
        assert (outcome.shipment and outcome.shipment["stage"]) == shipment
        assert outcome.received == expected_records(plan), plan.number


def expected_records(plan: Plan) -> tuple[object, ...]:
    """Return what its carrier must have read about an order."""
    if not plan.paid:
        return ()
    full = recipient(plan.number, plan.fate)
    allowed = FEW_FIELDS if plan.carrier == "snail" else tuple(full)
    label = {name: full[name] for name in full if name in allowed}
    return label, "cancelled" if plan.fate == TAKEN_BACK else "completed"


@pytest.mark.slow
def test_a_storm_changes_no_row_and_no_partner_record(calm: Run, stormy: Run) -> None:
    """Every worker, the broker and both databases killed -9, two instances joining, hanging and leaving (T1)."""
    assert stormy.repeats > calm.repeats, "nobody noticed the storm"
    differing = [number for number in calm.outcomes if calm.outcomes[number] != stormy.outcomes[number]]
    assert not differing, [(calm.outcomes[n], stormy.outcomes[n]) for n in differing[:2]]


@pytest.mark.slow
def test_every_outgoing_event_is_there_once(scene: Scene, stormy: Run) -> None:
    """Whoever reads committed records of a topic that workers write sees each event id once."""
    for topic in evidence.outgoing_topics(scene.stack):
        counts = Counter(entry.id for entry in evidence.read(scene.stack, [topic]))
        assert "" not in counts
        assert not [each for each, count in counts.items() if count > 1], topic


@pytest.mark.slow
def test_every_record_ended_in_exactly_one_way(scene: Scene, stormy: Run) -> None:
    """Per worker and topic: consumed + repeated + suppressed + dead-lettered = what was there to be read."""
    for worker, topics in evidence.readers(scene.stack).items():
        read = Counter(entry.topic for entry in evidence.read(scene.stack, topics))
        ended = evidence.endings(scene.stack, worker)
        assert {topic: read[topic] for topic in topics} == {
            topic: sum(ended.get(topic, {}).values()) for topic in topics
        }, worker
        assert [row["code"] for row in evidence.letters(scene.stack, worker)] == [], worker


@pytest.mark.slow
@pytest.mark.parametrize("weather", ["calm", "stormy"])
def test_the_order_of_each_person_is_kept(weather: str, scene: Scene, request: pytest.FixtureRequest) -> None:
    """Shipments are asked for in the order of payments; nothing is closed, revoked or released before it began."""
    found: Run = request.getfixturevalue(weather)
    payments = _first_per_order(evidence.read(scene.stack, ["orders"], found.since), "lethe.order.paid.v1")
    shipments = evidence.read(scene.stack, ["shipments"], found.since)
    assert _first_per_order(shipments, "lethe.shipment.requested.v1") == payments
    for told in _types(shipments).values():
        assert told[0] == "lethe.shipment.requested.v1"
        assert len(told) == len(set(told)) == 2
    for carrier in scene.carriers:
        for told in _types(evidence.read(scene.stack, [carrier.shipments], found.since)).values():
            assert told[0] == OFFERED
    for revisions in _revisions(evidence.read(scene.stack, ["holds"], found.since)).values():
        assert revisions == sorted(set(revisions))


def _first_per_order(entries: list[Entry], kind: str) -> dict[str, list[str]]:
    """Return each person's orders in the order in which this was first said of them."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in entries:
        if entry.type == kind:
            found[entry.key].setdefault(_order_of(entry))
    return {subject: list(orders) for subject, orders in found.items()}


def _types(entries: list[Entry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        found[_order_of(entry) if entry.value and entry.type != OFFERED else entry.key].append(entry.type)
    return found


def _revisions(entries: list[Entry]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        said = json.loads(entry.value or b"{}")
        found[said["order"]].append(said["revision"])
    return found


def _order_of(entry: Entry) -> str:
    return str(json.loads(entry.value or b"{}")["order"])
