"""Forgetting people when something is in the way: an owner away, an order in the same instant, hundreds at once."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import Stack
from tests.fixtures import attic, certificates, evidence
from tests.fixtures.canaries import Person
from tests.fixtures.carrier import Carrier
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform
from tests.fixtures.shop import Shop, cancelled, new_id, paid, placed
from tests.fixtures.stream import Background, Flow, plans

CERTIFY_SECONDS = 180.0
RACERS = 24
ERASURES = 220
LEASE_SECONDS = 10.0
FIGURES = Path(__file__).parents[2] / "build" / "figures.json"


@dataclass
class Scene:
    """A shop and a carrier that delivers at once."""

    stack: Stack
    shop: Shop
    carrier: Carrier
    folder: Path

    def stages(self, orders: list[str]) -> dict[str, str]:
        """Return the stage of each order that there is a row of."""
        sql = "SELECT order_id, stage FROM {schema}.orders WHERE order_id = ANY ($1::text[])"
        return dict(tuple(row) for row in evidence.of_worker(self.stack, "orders", sql, orders))

    def erased(self, request: str) -> bool:
        return self.shop.erasure(request)["state"] == "certified"


@pytest.fixture(scope="module")
def scene(whole_platform: Platform, folder: Path) -> Iterator[Scene]:
    carrier = Carrier.sign(whole_platform.stack, folder).start()
    yield Scene(whole_platform.stack, Shop.open(whole_platform.stack, folder), carrier, folder)
    carrier.stop()


@pytest.mark.slow
@pytest.mark.parametrize("owner", ["orders", "carriers"])
def test_while_an_owner_is_away_the_request_is_incomplete_and_names_it(scene: Scene, owner: str) -> None:
    """The keys are gone at once; what is missing is said, not guessed; it completes by itself (R3)."""
    person = Person()
    scene.shop.say(person.places(scene.carrier.name))
    scene.shop.say(person.pays(person.orders[0]))
    await_("closed", lambda: scene.stages(person.orders).get(person.orders[0]) == "closed")
    lethe(scene.stack.state, "down", owner)
    try:
        request = scene.shop.erase(person.subject)
        told = await_(
            "incomplete",
            lambda: (it := scene.shop.erasure(request))["state"] == "incomplete" and it,
        )
        assert told["missing"] == [owner]
        assert told["missing_since"] and told["unreadable_at"] and not told["certificate_url"]
        assert scene.shop.get(f"/v1/erasures/{request}/certificate").status_code == 404
        assert len(attic.readable(scene.stack, person.orders, person.texts())) == len(
            person.texts(categories=("accounting",))
        )
    finally:
        lethe(scene.stack.state, "up", owner)
    await_("certified", lambda: scene.erased(request), CERTIFY_SECONDS)
    certificate = certificates.fetch(scene.stack, scene.shop, request, scene.folder)
    assert {each["owner"] for each in certificate["owners"]} == {"orders", "carriers"}


@pytest.mark.slow
def test_an_order_in_the_same_instant_is_either_refused_or_carried_to_its_end(scene: Scene) -> None:
    """No order that was accepted is lost, none outlives its end, and every key is dead afterwards (R3, U2)."""
    people = [Person() for _ in range(RACERS)]
    said = {person.subject: person.places(scene.carrier.name) for person in people}
    with ThreadPoolExecutor(2 * RACERS) as pool:
        both = [
            (pool.submit(_late, number, scene.shop.send, [said[person.subject]]),
             pool.submit(scene.shop.erase, person.subject))
            for number, person in enumerate(people)
        ]  # fmt: skip
    statuses = [order.result()[0] for order, _ in both]
    requests = [wish.result() for _, wish in both]
    assert set(statuses) <= {202, 410}
    print(f"\n{statuses.count(202)} of {RACERS} orders were there before their keys died")
    accepted = [person for person, status in zip(people, statuses, strict=True) if status == 202]
    mine = [order for person in accepted for order in person.orders]
    await_("every accepted order is there", lambda: set(scene.stages(mine)) == set(mine))

    scene.shop.say(*(cancelled(person.subject, person.orders[0]) for person in accepted))
    every = [order for person in people for order in person.orders]
    await_("no row is left", lambda: scene.stages(every) == {}, CERTIFY_SECONDS)
    await_("certified", lambda: all(scene.erased(request) for request in requests), CERTIFY_SECONDS)
    subjects = [person.subject for person in people]
    sql = "SELECT DISTINCT state FROM {schema}.subject WHERE id = ANY ($1::text[])"
    await_(
        "every key is dead",
        lambda: [row[0] for row in evidence.of_worker(scene.stack, "keyring", sql, subjects)] == ["erased"],
    )
    assert attic.still_open(scene.stack, every) == {}


def _late(number: int, act: Callable[[Any], Any], what: Any) -> Any:
    """Act a moment later: some orders come before the wish to be forgotten, some in the middle of it, some after."""
    time.sleep(2.0 * number / RACERS)
    return act(what)


@pytest.mark.slow
def test_hundreds_of_people_are_forgotten_while_orders_keep_coming(scene: Scene) -> None:
    """Time from the verified wish to dead keys, to unreadable, to the certificate; written to build/figures.json."""
    people = [(new_id(), new_id()) for _ in range(ERASURES)]
    for start in range(0, ERASURES, 100):
        some = people[start : start + 100]
        scene.shop.say(*(placed(subject, order, scene.carrier.name) for subject, order in some))
        scene.shop.say(*(paid(subject, order) for subject, order in some))
    others = plans(1_000, [scene.carrier.name])
    load = Flow(scene.shop, others, 1)
    load.let_go()
    sending = Background(load.send)
    since = evidence.marks(scene.stack)
    asked: dict[str, float] = {}

    def ask(subject: str) -> None:
        began = time.time()
        asked[scene.shop.erase(subject)] = began

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, [subject for subject, _ in people]))
    sending.join(CERTIFY_SECONDS)
    first = await_("all certified", lambda: _certificates(scene, since, set(asked)), CERTIFY_SECONDS)

    destroyed = [_seconds(first[each]["times"]["destroyed_at"], began) for each, began in asked.items()]
    unreadable = [_seconds(first[each]["times"]["unreadable_at"], began) for each, began in asked.items()]
    certified = [_seconds(first[each]["issued_at"], began) for each, began in asked.items()]
    assert len(first) == ERASURES >= 200
    assert all(
        late - early <= LEASE_SECONDS + 0.001 for late, early in zip(unreadable, destroyed, strict=True)
    )
    assert all(late >= early > 0 for late, early in zip(certified, destroyed, strict=True))
    figures = {
        "erasures_under_load": ERASURES,
        **_summary("verified_to_destroyed_seconds", destroyed),
        **_summary("verified_to_unreadable_seconds", unreadable),
        **_summary("verified_to_certificate_seconds", certified),
    }
    print("\n" + json.dumps(figures, indent=2))
    _write(figures)


def _certificates(scene: Scene, since: Any, requests: set[str]) -> dict[str, dict[str, Any]] | None:
    """Return each request's first certificate, None until all are there."""
    found: dict[str, dict[str, Any]] = {}
    for entry in evidence.read(scene.stack, ["certificates"], since):
        said = json.loads(entry.value or b"{}")
        if said.get("request") in requests and "certificate" in said:
            found.setdefault(said["request"], certificates.contents(said["certificate"]))
    return found if len(found) == len(requests) else None


def _seconds(moment: str, began: float) -> float:
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp() - began


def _summary(name: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{name}_median": round(cuts[49], 3), f"{name}_p99": round(cuts[98], 3)}


def _write(figures: dict[str, float]) -> None:
    FIGURES.parent.mkdir(exist_ok=True)
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps({**known, **figures}, indent=2) + "\n")
