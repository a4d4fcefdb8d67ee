"""An erasure races whatever else can happen to a person in that instant; many small trials, drawn from a seed.

Nobody decides who wins: a wish may come first or last. Whoever wins, nothing of the person is left but what the
certificate retains, and whoever only stood by has not been touched.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from schemas.topics import OPERATOR
from tests.faults.faulty import Faulty
from tests.faults.town import left_of
from tests.fixtures import evidence
from tests.fixtures.canaries import Person
from tests.fixtures.evidence import await_
from tests.fixtures.shop import Event, cancelled, new_id
from tests.fixtures.shopping import lethe

pytestmark = pytest.mark.slow
CERTIFY_SECONDS = 240.0
SPREAD_SECONDS = 0.4
"""About what an order needs from the door to the carrier's topic: a wish drawn from it comes anywhere on the way."""
ACCEPTED, GONE = 202, 410
ERASURES = int(os.environ.get("LETHE_ERASURES", "1000"))
PORTION = 200


@dataclass
class Racers:
    """People who order and are forgotten at the same moment, and people who stand by."""

    faulty: Faulty
    chance: random.Random
    forgotten: list[Person] = field(default_factory=list)
    bystanders: list[Person] = field(default_factory=list)
    requests: dict[str, str] = field(default_factory=dict)

    def run(self, trials: int, race: Callable[["Racers", Person], None]) -> None:
        """Let people race, some at a time, each beside one who only orders."""
        people = [(Person(), Person()) for _ in range(trials)]
        delays = [self.chance.uniform(0, SPREAD_SECONDS) for _ in people]
        with ThreadPoolExecutor(4) as crowd:
            for done in [crowd.submit(self._race, race, *each) for each in zip(people, delays, strict=True)]:
                done.result()

    def _race(
        self, race: Callable[["Racers", Person], None], people: tuple[Person, Person], delay_seconds: float
    ) -> None:
        racer, bystander = people
        wish = threading.Timer(delay_seconds, self.forget, [racer])
        wish.start()
        race(self, racer)
        self.order(bystander)
        wish.join(CERTIFY_SECONDS)
        self.forgotten.append(racer)
        self.bystanders.append(bystander)

    def forget(self, person: Person) -> None:
        self.requests[person.subject] = self.faulty.shop.erase(person.subject)

    def forget_many(self, people: list[Person]) -> None:
        """Let people place an order, take it back, and ask to be forgotten."""
        shop, carriers = self.faulty.shop, self.faulty.carriers
        shop.say(*(each.places(self.chance.choice(carriers).name) for each in people))
        shop.say(*(cancelled(each.subject, each.orders[0]) for each in people))
        with ThreadPoolExecutor(4) as crowd:
            list(crowd.map(self.forget, people))
        self.forgotten += people

    def order(self, person: Person) -> None:
        """Place an order and pay it, as far as the person may still."""
        event = person.places(self.chance.choice(self.faulty.carriers).name)
        if self.say(event) == ACCEPTED:
            self.say(person.pays(person.orders[-1]))

    def say(self, event: Event) -> int:
        (status,) = self.faulty.shop.send([event])
        assert status in (ACCEPTED, GONE), status
        return status

    def judge(self) -> None:
        """Wait until every wish is certified and every bystander served; then look everywhere (O1, O4)."""
        self.await_certified()
        await_("every bystander is served", lambda: not self._unserved(), CERTIFY_SECONDS)
        evidence.await_all_read(self.faulty.stack, CERTIFY_SECONDS)
        stack = self.faulty.stack
        assert left_of(stack, self.faulty.shop, self.forgotten, self.requests) == []
        for carrier in self.faulty.carriers:
            ids = [entry.id for entry in evidence.read(stack, [carrier.shipments])]
            assert len(ids) == len(set(ids)), "a carrier was told twice"

    def await_certified(self) -> None:
        """Wait until every wish is certified."""
        wishes = [self.requests[person.subject] for person in self.forgotten]
        sql = "SELECT count(*) FROM {schema}.request WHERE id = ANY ($1::text[]) AND state = 'certified'"

        def all_are() -> bool:
            return evidence.of_worker(self.faulty.stack, "gateway", sql, wishes)[0]["count"] == len(wishes)

        await_(f"{len(wishes)} certificates", all_are, CERTIFY_SECONDS + len(wishes) / 5)

    def _unserved(self) -> set[str]:
        orders = [order for person in self.bystanders for order in person.orders]
        sql = "SELECT order_id FROM {schema}.orders WHERE order_id = ANY ($1::text[]) AND stage = 'closed'"
        return set(orders) - {
            row["order_id"] for row in evidence.of_worker(self.faulty.stack, "orders", sql, orders)
        }


@pytest.fixture
def racers(faulty: Faulty, seed: int, request: pytest.FixtureRequest) -> Racers:
    """A fresh crowd on the shared platform; what it does follows from the seed and the test's name."""
    return Racers(faulty, random.Random(f"{seed} {request.node.name}"))


@pytest.fixture
def trials(pytestconfig: pytest.Config) -> int:
    """How many people race in each kind of race."""
    return 40 if pytestconfig.getoption("--full") else 4


def places_and_pays(racers: Racers, person: Person) -> None:
    """Placement: the order may be refused, suppressed, or held and carried out."""
    racers.order(person)


def takes_back(racers: Racers, person: Person) -> None:
    """Holds: grounds are confirmed, change and end while the keys die."""
    racers.order(person)
    racers.say(cancelled(person.subject, person.orders[-1]))
    racers.order(person)


def pays_for_nothing(racers: Racers, person: Person) -> None:
    """Dead letters: they wait under the person's name until the redrive, or the erasure, takes them out."""
    racers.say(person.pays(new_id()))
    racers.order(person)


@pytest.mark.parametrize("race", [places_and_pays, takes_back])
def test_an_erasure_races_what_the_person_does(racers: Racers, trials: int, race) -> None:
    """Placement, payment, cancellation, and the holds that follow from them."""
    racers.run(trials, race)
    racers.judge()


@pytest.mark.full
def test_an_erasure_races_a_rotation(racers: Racers, trials: int) -> None:
    """While every living key is wrapped anew, keys die: none that died comes back under the new version."""
    with all_the_while(lambda: rotate(racers.faulty)):
        racers.run(trials, places_and_pays)
    racers.judge()


@pytest.mark.full
def test_an_erasure_races_a_redrive(racers: Racers, trials: int) -> None:
    """What was set aside of a person is taken out by the one or by the other, and stored by nobody."""
    with all_the_while(lambda: redrive(racers.faulty)):
        racers.run(trials, pays_for_nothing)
    racers.judge()


@pytest.mark.full
def test_an_erasure_races_owners_that_come_and_go(racers: Racers, trials: int) -> None:
    """A lane changes hands between an order and its person's erasure, again and again."""
    with all_the_while(lambda: come_and_go(racers.faulty)):
        racers.run(trials, takes_back)
    racers.judge()


class all_the_while:  # noqa: N801 - reads as what it is, a block
    """Do something again and again while the block runs; what goes wrong in it is the test's failure."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> None:
        self._done = self._pool.submit(self._run)

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._done.result(300)
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._act()


def rotate(faulty: Faulty) -> None:
    """Replace every KEK version, as an operator may at any time."""
    stack = faulty.stack
    token = stack.keyring_token(OPERATOR).get_secret_value()
    answer = httpx.post(
        f"{stack.keyring_url}/v1/keks/rotations",
        json={},
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    assert answer.status_code < 300, answer.status_code
    time.sleep(0.5)


def redrive(faulty: Faulty) -> None:
    """Have dead letters folded again."""
    lethe(faulty.state, "dead-letters", "redrive", "--worker", "orders", "--limit", "1000", expect=(0, 1))


def come_and_go(faulty: Faulty) -> None:
    """Let one more instance of each owner come, and go again."""
    stack = faulty.stack
    guests = [stack.add("orders"), stack.add("carriers")]
    time.sleep(2)
    stack.stop_worker(*guests)


@pytest.mark.full
@pytest.mark.timeout(2_700)
def test_thousands_are_forgotten_while_owners_scale(racers: Racers) -> None:
    """Each certified, nobody left, while one to three instances of each owner share the lanes (O1, O6)."""
    people, began = [Person() for _ in range(ERASURES)], time.monotonic()
    with all_the_while(lambda: come_and_go(racers.faulty)):
        for start in range(0, ERASURES, PORTION):
            racers.forget_many(people[start : start + PORTION])
        racers.bystanders.append(Person())
        racers.order(racers.bystanders[0])
        racers.await_certified()
    print(f"\n{ERASURES} people forgotten in {time.monotonic() - began:.0f} s")
    racers.judge()
