"""Something everybody needs is away: the sender is told, workers wait and say so, nothing is set aside or lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.local import stack as platforms
from deploy.local.stack import Stack
from tests.acceptance.conftest import SETTINGS
from tests.fixtures import evidence
from tests.fixtures.carrier import Carrier
from tests.fixtures.evidence import WORKERS, await_
from tests.fixtures.lethe import lethe
from tests.fixtures.shop import Event, Shop, new_id, paid, placed

NOTICED_SECONDS = 40.0
BACK_SECONDS = 120.0


@dataclass
class Scene:
    """A platform of our own, a shop, and a carrier that delivers at once."""

    stack: Stack
    shop: Shop
    carrier: Carrier

    def placed(self, count: int = 5) -> list[tuple[str, str]]:
        """Place some orders; return person and order of each."""
        orders = [(new_id(), new_id()) for _ in range(count)]
        self.shop.say(*(placed(subject, order, self.carrier.name) for subject, order in orders))
        return orders

    def stages(self, orders: list[tuple[str, str]]) -> set[str]:
        """Return the stages that these orders are in; nothing for one that is unknown."""
        sql = "SELECT stage FROM {schema}.orders WHERE order_id = ANY ($1::text[])"
        found = evidence.of_worker(self.stack, "orders", sql, [order for _, order in orders])
        return {row["stage"] for row in found} if len(found) == len(orders) else set()

    def say_paid(self, orders: list[tuple[str, str]]) -> None:
        self.shop.say(*(paid(subject, order) for subject, order in orders))

    def await_closed(self, orders: list[tuple[str, str]]) -> None:
        """Wait until the whole way works again: paid, sent, delivered, closed."""
        await_("closed", lambda: self.stages(orders) == {"closed"}, BACK_SECONDS)

    def ready(self, instance: str) -> bool:
        """Return what a process says of itself."""
        try:
            return httpx.get(self.stack.health_url(instance) + "/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def refused(self, event: Event) -> str:
        """Return why the gateway cannot take an event now."""
        response = self.shop.post("/v1/events", event)
        return response.json()["code"] if response.status_code == 503 else ""

    def pids(self) -> dict[str, int]:
        """Return the process of each worker."""
        return {name: self.stack.pid(f"{name}-1") for name in WORKERS}

    def repair(self) -> None:
        """Do what an operator does."""
        platforms.start(self.stack.state, only=WORKERS, settings=SETTINGS)

    def set_aside(self) -> int:
        """Return how many dead letters there are, of all workers."""
        return sum(len(evidence.letters(self.stack, name)) for name in WORKERS)


@pytest.fixture(scope="module")
def scene(battered: Stack, folder: Path) -> Iterator[Scene]:
    carrier = Carrier.sign(battered, folder).start()
    found = Scene(battered, Shop.open(battered, folder), carrier)
    first = found.placed(1)
    found.say_paid(first)
    found.await_closed(first)
    yield found
    carrier.stop()


@pytest.mark.slow
def test_without_the_keyring_nothing_is_taken_and_nothing_leaves(scene: Scene) -> None:
    """503 at the door; dispatch waits with what it has decided, unopened, and says that it is not ready (U1)."""
    waiting, later = scene.placed(), placed(new_id(), new_id(), scene.carrier.name)
    lethe(scene.stack.state, "down", "carriers")
    scene.say_paid(waiting)
    await_("paid", lambda: scene.stages(waiting) == {"paid"})
    scene.stack.kill("keyring-1")

    assert scene.refused(later) == "keyring-unavailable"
    assert scene.shop.post("/v1/erasures", {"subject": new_id()}).status_code == 503
    since = evidence.marks(scene.stack)
    scene.stack.add("carriers", wait=False)
    sql = "SELECT count(*) FROM {schema}.outbox WHERE partner = $1"
    await_(
        "dispatch has decided",
        lambda: (
            evidence.of_worker(scene.stack, "carriers", sql, scene.carrier.name)[0]["count"] == len(waiting)
        ),
    )
    await_("dispatch says that it waits", lambda: not scene.ready("carriers-1"), NOTICED_SECONDS)
    assert evidence.read(scene.stack, [scene.carrier.shipments], since) == []

    scene.repair()
    scene.await_closed(waiting)
    assert scene.shop.send([later]) == [202]
    assert scene.ready("carriers-1")
    assert scene.set_aside() == 0


# What is killed, what the shop is told, who says that it is not ready.
AWAY = {
    "kafka": ("broker-unavailable", {*WORKERS}),
    "postgres-data": ("store-unavailable", {"gateway", "orders", "carriers", "erasure"}),
    "postgres-keyring": ("keyring-unavailable", {"keyring"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("away", AWAY)
def test_without_kafka_or_a_database_everybody_waits_and_goes_on(scene: Scene, away: str) -> None:
    """No process ends, none pretends to be ready, nothing is dead-lettered; afterwards all goes on (T1)."""
    code, waiting = AWAY[away]
    open_orders, later = scene.placed(), placed(new_id(), new_id(), scene.carrier.name)
    await_("placed", lambda: scene.stages(open_orders) == {"placed"})
    before = scene.pids()
    scene.stack.kill(away)

    await_("the shop is told", lambda: scene.refused(later) == code, NOTICED_SECONDS)
    for name in waiting:
        await_(f"{name} says so", lambda name=name: not scene.ready(f"{name}-1"), NOTICED_SECONDS)
    assert scene.pids() == before

    scene.repair()
    scene.say_paid(open_orders)
    scene.await_closed(open_orders)
    assert scene.shop.send([later]) == [202]
    assert scene.pids() == before, "who only had to wait was started again"
    assert scene.set_aside() == 0
