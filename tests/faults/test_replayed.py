"""Faults of memory: all that was ever written is read again, by somebody who was not there (O1)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from deploy.local import stack as platforms
from deploy.local.stack import Stack
from schemas.topics import TOPICS
from tests.faults.faulty import SETTINGS
from tests.faults.town import Town, own_town
from tests.fixtures import evidence
from tests.fixtures.evidence import Entry
from tests.fixtures.platform import temporary_state
from tests.fixtures.shop import Shop

pytestmark = [pytest.mark.slow, pytest.mark.full]
_SHIPMENTS = "SELECT order_id FROM {schema}.shipment WHERE subject = $1"
_ROWS = "SELECT * FROM {schema}.orders WHERE subject = $1 ORDER BY order_id"

_LEDGERS = ("suppression", "remembered", "erasure", "subject", "pair", "dead_letter", "timer")
ALLOWED = {f"{worker}.{table}" for worker in evidence.WORKERS for table in _LEDGERS}
ALLOWED |= {"orders.orders", "carriers.shipment"}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A platform of its own, where people have lived and been forgotten."""
    with own_town(tmp_path_factory.mktemp("town")) as found:
        found.live_on()
        yield found


def rows_of(stack: Stack, *subjects: str) -> list[dict]:
    """Return the orders of these people, sealed as they are."""
    return [dict(row) for each in subjects for row in evidence.of_worker(stack, "orders", _ROWS, each)]


def test_a_worker_added_later_knows_who_was_forgotten_before_it_came(town: Town) -> None:
    """It has no rows and no group, and reads every topic from its beginning: the living, and no one else."""
    living = [person.subject for person in town.living]
    before = rows_of(town.stack, *living)
    told = len(evidence.read(town.stack, [town.carrier.shipments]))
    town.stack.stop_worker("orders")
    evidence.rows(town.stack.admin_dsn(), "DROP SCHEMA orders CASCADE")
    admin = AdminClient(town.stack.kafka_settings("admin"))
    for future in admin.delete_consumer_groups(["orders", "orders.outbox"]).values():
        future.result(30)
    town.restart()
    town.rest()
    assert rows_of(town.stack, *living) == before
    assert town.left_of(*town.forgotten) == []
    # Its repeats are repeats to everybody who has heard it before.
    assert len(evidence.read(town.stack, [town.carrier.shipments])) == told
    assert town.told_twice() == {}


def test_a_second_platform_that_is_given_every_topic_forgets_the_same_people(
    town: Town, tmp_path: Path
) -> None:
    """Its databases are empty, its keyring too: orders of the living are there to the byte, nobody else's, and the
    forgotten get no key."""
    rows = {each.subject: rows_of(town.stack, each.subject) for each in (*town.living, *town.forgotten)}
    entries = evidence.read(town.stack, [topic.name for topic in TOPICS])
    platforms.stop(town.stack.state)
    with temporary_state() as state:
        second = platforms.start(state, only=(), settings=SETTINGS)
        write_again(second, entries)
        second = platforms.start(state, only=evidence.WORKERS, settings=SETTINGS)
        evidence.await_all_read(second, 150)
        evidence.await_all_read(second, 150)
        for person in town.living:
            assert rows_of(second, person.subject) == rows[person.subject]
        for person in town.forgotten:
            # Open orders are carried out to the end. Of a closed one the law keeps the invoice, and as its order was
            # never placed here it waits, sealed, as a dead letter.
            assert all(row in rows[person.subject] for row in rows_of(second, person.subject))
            addressed = {row["order_id"] for row in rows[person.subject] if row["ship_to"]}
            shipped = evidence.of_worker(second, "carriers", _SHIPMENTS, person.subject)
            assert {row["order_id"] for row in shipped} <= addressed
            assert set(evidence.rows_about(second, person.subject)) <= ALLOWED
        shop = Shop.open(second, tmp_path, town.shop.name)
        wishes = [person.places(town.carrier.name) for person in town.forgotten]
        assert shop.send(wishes) == [410, 410]
        assert shop.send([town.stays.places(town.carrier.name)]) == [202]


def write_again(stack: Stack, entries: list[Entry]) -> None:
    """Write records where they stood, as a tool that mirrors topics does."""
    producer = Producer({**stack.kafka_settings("admin"), "enable.idempotence": True})
    failed: list[KafkaException] = []
    for each in entries:
        headers = [(name, value.encode()) for name, value in each.headers.items()]
        producer.produce(
            each.topic, each.value, each.key, each.partition, headers=headers,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )  # fmt: skip
        producer.poll(0)
    assert producer.flush(60) == 0 and not failed
