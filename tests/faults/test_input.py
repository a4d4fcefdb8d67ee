"""What comes in is wrong: said twice, said in the wrong order, or written past the door as nonsense."""

import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.topics import LANES
from tests.faults import rules
from tests.faults.faulty import Faulty
from tests.faults.history import History
from tests.faults.trial import Trial
from tests.fixtures import evidence
from tests.fixtures.carrier import REPORTED, headers_of
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe
from tests.fixtures.shop import Event, new_id

Begin = Callable[..., Trial]
MARK = "poison-that-must-not-travel"


@pytest.mark.full
def test_a_storefront_says_everything_twice_and_late(trial: Begin, seed: int) -> None:
    """The same events under the same ids, at once, later, shuffled: a repeat changes and says nothing (T1)."""
    it, chance = trial(orders=30, people=2), random.Random(seed)
    orders = [it.orders.plan(fate) for fate in (rules.DELIVERED, rules.NEVER_PAID, rules.TAKEN_BACK) * 10]
    with it.fault("duplicates", "storefront"):
        said: list[Event] = []
        for step in range(3):
            events = [order[step] for order in orders if step < len(order)]
            it.shop.say(events + events)
            said += events
            # Everything said so far once more, in any order.
            it.shop.say(chance.sample(said, len(said)))
        it.load()
        it.shop.say(chance.sample(said, len(said)))
    it.judge()


@pytest.mark.full
def test_a_storefront_pays_before_it_places(trial: Begin, faulty: Faulty) -> None:
    """A payment that comes first is set aside; redriven after the order came, it does what it says (T1)."""
    it = trial(orders=30, people=1)
    # Each of a person of its own: a redriven payment comes later than one that somebody made after it.
    orders = [it.orders.plan(rules.DELIVERED, subject=new_id()) for _ in range(12)]
    with it.fault("reordered", "storefront"):
        it.shop.say([pays for _, pays in orders])
        it.load()
        sql = "SELECT count(*) FROM {schema}.dead_letter WHERE scope = ANY ($1::text[])"
        ids = [places["data"]["order"] for places, _ in orders]
        await_(
            "set aside", lambda: evidence.of_worker(faulty.stack, "orders", sql, ids)[0]["count"] == len(ids)
        )
        it.shop.say([places for places, _ in orders])
        _await_stage(faulty, ids, "placed")
        letters = "SELECT id, scope FROM {schema}.dead_letter WHERE scope = ANY ($1::text[])"
        _redrive(faulty, "order-unknown")
        await_("redriven", lambda: not evidence.of_worker(faulty.stack, "orders", letters, ids), 90)
    it.judge()


def _await_stage(faulty: Faulty, orders: list[str], stage: str) -> None:
    sql = "SELECT count(*) FROM {schema}.orders WHERE order_id = ANY ($1::text[]) AND stage = $2"
    await_(
        stage,
        lambda: evidence.of_worker(faulty.stack, "orders", sql, orders, stage)[0]["count"] == len(orders),
    )


def _redrive(faulty: Faulty, code: str) -> None:
    which = ("--worker", "orders", "--code", code, "--limit", "10000")
    lethe(faulty.state, "dead-letters", "redrive", *which)


Poison = tuple[bytes | None, list[tuple[str, bytes]], str]
"""Value, headers, and the code under which it must be set aside."""


def poisons() -> list[Poison]:
    """Return records that no worker may choke on, as a buggy or evil producer with the gateway's login writes them."""

    def headers(**other: bytes) -> list[tuple[str, bytes]]:
        usual = {
            "ce_specversion": b"1.0", "ce_id": str(uuid.uuid4()).encode(), "ce_type": rules.PLACED.encode(),
            "ce_source": b"/poison", "content-type": b"application/json",
        }  # fmt: skip
        return list({**usual, **other}.items())

    deep = b"[" * 100_000
    return [
        (b"\x00\xff" + MARK.encode(), headers(), "json-invalid"),
        (deep, headers(), "json-invalid"),
        (None, headers(), "value-missing"),
        (b"{}", headers(ce_type=b"lethe.order.forgotten.v1"), "type-unknown"),
        (b"{}", headers(ce_specversion=b"0.3"), "specversion"),
        (json.dumps({"order": MARK}).encode(), headers(), "subject-not-key"),
        (b'{"order": ' + b"9" * 50_000 + b"}", headers(), "subject-not-key"),
    ]


class Poisoner:
    """Writes nonsense past the door, and notes where it lies and what must become of it."""

    def __init__(self, faulty: Faulty, history: History) -> None:
        self._producer = Producer(
            # Not librdkafka's own partitioner: the key's own lane, as everywhere on the platform.
            {**faulty.stack.kafka_settings("gateway"), "partitioner": "murmur2", "log_level": 0}
        )
        self._history = history
        self._kinds: Iterator[Poison] = itertools.cycle(poisons())
        self._lane = itertools.count()

    def write(self, count: int) -> None:
        """Write so many records to `orders`, spread over the lanes."""
        for _ in range(count):
            value, headers, code = next(self._kinds)
            if code in ("json-invalid", "subject-not-key", "value-missing"):
                self._keyed(value, headers, code)
            else:
                self._produce(value, headers, code, new_id())
        assert self._producer.flush(30) == 0

    def _keyed(self, value: bytes | None, headers: list[tuple[str, bytes]], code: str) -> None:
        subject = new_id()
        named = headers if code == "subject-not-key" else [*headers, ("ce_subject", subject.encode())]
        self._produce(value, named, code, subject)

    def _produce(self, value: bytes | None, headers: list[tuple[str, bytes]], code: str, key: str) -> None:
        def written(error: object, record: Any) -> None:
            assert error is None
            place = f"{record.topic()}/{record.partition()}/{record.offset()}"
            self._history.tell("poison", worker="orders", code=code, what=place)

        self._producer.produce("orders", value, key, headers=headers, on_delivery=written)
        self._producer.poll(0)


@pytest.mark.full
def test_one_record_in_a_hundred_is_poison(trial: Begin, faulty: Faulty) -> None:
    """Each is set aside by its coordinates, once, and harms nobody beside it (C4, T1)."""
    it = trial(orders=200)
    poisoner = Poisoner(faulty, it.history)
    with it.fault("poison", "orders"):
        for _ in range(3):
            it.load()
            poisoner.write(4)
    it.judge()


@pytest.mark.full
def test_a_carrier_writes_nonsense(trial: Begin, faulty: Faulty) -> None:
    """What a partner writes stops neither its own parcels nor another partner's (D2)."""
    it, (carrier, _) = trial(), faulty.carriers
    it.load()
    with it.fault("poison", carrier.updates):
        before = evidence.marks(faulty.stack)[carrier.updates, 0]
        for body in (
            b"\xff",
            b"{}",
            b"[" * 50_000,
            json.dumps({"reference": new_id(), "status": "delivered"}).encode(),
        ):
            carrier.write(body, headers_of(REPORTED, carrier.name))
        it.load()
        sql = "SELECT * FROM {schema}.dead_letter WHERE topic = $1 AND record_offset >= $2"
        letters = await_(
            "set aside",
            lambda: (
                len(found := evidence.of_worker(faulty.stack, "carriers", sql, carrier.updates, before)) == 4
                and found
            ),
        )
        for row in letters:
            it.history.tell(
                "poison", worker="carriers", code=row["code"], what=f"{row['topic']}/0/{row['record_offset']}"
            )
    assert [row["code"] for row in letters][-1] == "reference-unknown"
    assert LANES == 12
    it.judge()
