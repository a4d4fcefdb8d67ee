"""Recommendations on a real Kafka: killed, doubled, misled by aborted records, and rebuilt; it tells the same."""

import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    KafkaError,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from deploy.local import stack, workers
from schemas.clicks import SEPARATOR, Kind
from schemas.envelope import Envelope
from schemas.statistics import Counted, MassDropped, Recommended
from schemas.topics import LANES, RECOMMENDATIONS, RECOMMENDATIONS_ROWS, STATISTICS
from services.kernel.broker.admin import BrokerAdmin
from services.recommendations.domain import lists
from services.recommendations.numbers import Numbers
from services.recommendations.rows import lane_of_shop
from tests.fixtures.counted import counted
from tests.fixtures.platform import temporary_state

WAIT_SECONDS = 120
QUIET_SECONDS = "0.2"
TODAY = datetime.now(UTC).date()
Lists = dict[tuple[str, str], list[tuple[str, float]]]
pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


class World:
    """A platform whose only worker is recommendations; the test plays clickstream and insights."""

    def __init__(self, running: stack.Stack) -> None:
        self.stack = running
        self.admin = BrokerAdmin(running.kafka_settings("admin"))
        self.instances: list[str] = []

    def start(self, *, wait: bool = True, **environment: str) -> str:
        instance = self.stack.add("recommendations", wait=wait and not environment)
        self.instances.append(instance)
        if environment:
            self.stack.restart(instance, environment, wait=wait)
        return instance

    def one(self) -> str:
        """Return the only instance that runs; the one that another test has left is as good as a new one."""
        if len(self.instances) != 1:
            self.stop()
            self.start()
        return self.instances[0]

    def kill(self, instance: str) -> None:
        self.stack.kill(instance)
        self.instances.remove(instance)

    def stop(self) -> None:
        self.stack.stop_worker("recommendations")
        self.instances.clear()

    def new_shop(self) -> str:
        """Return a shop that nobody knows."""
        return f"shop-{next(_numbers)}-{uuid.uuid4().hex[:6]}"

    def producer(self, **more: Any) -> Producer:
        return Producer({**self.stack.kafka_settings("clickstream"), "linger.ms": 5, **more})

    def say(self, *events: Counted | MassDropped, producer: Producer | None = None) -> None:
        used = producer or self.producer()
        for event in events:
            headers = Envelope(str(uuid.uuid4()), event.type, "/workers/clickstream").headers()
            used.produce(
                STATISTICS.name, event.model_dump_json().encode(), event.storefront.encode(),
                lane_of_shop(event.storefront), headers=headers,
            )  # fmt: skip
        assert used.flush(20) == 0

    def read(self, topic: str) -> list[Any]:
        """Return every record of a topic that was not aborted."""
        login = {**self.stack.kafka_settings("operator"), "group.id": "operator", "enable.auto.commit": False}
        consumer = Consumer({**login, "enable.partition.eof": True, "isolation.level": "read_committed"})
        consumer.assign([TopicPartition(topic, lane, OFFSET_BEGINNING) for lane in range(LANES)])
        found: list[Any] = []
        open_lanes = set(range(LANES))
        until = time.monotonic() + WAIT_SECONDS
        while open_lanes and time.monotonic() < until:
            for message in consumer.consume(500, 0.2):
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_lanes.discard(message.partition())
        consumer.close()
        assert not open_lanes
        return found

    def told(self, shop: str) -> list[dict[str, Any]]:
        """Return what was told of a shop, in order."""
        said = [json.loads(each.value()) for each in self.read(RECOMMENDATIONS.name)]
        return [each for each in said if each["storefront"] == shop]

    def lists(self, shop: str) -> Lists:
        """Return a shop's lists as they stand."""
        return self.every_list().get(shop, {})

    def every_list(self) -> dict[str, Lists]:
        """Return every shop's lists as they stand."""
        found: dict[str, Lists] = {}
        for record in self.read(RECOMMENDATIONS.name):
            event = Recommended.model_validate_json(record.value())
            lists = found.setdefault(event.storefront, {})
            lists[event.listing, event.of or ""] = [(item.cell, item.score) for item in event.items]
        return {shop: {name: items for name, items in told.items() if items} for shop, told in found.items()}

    def tells(self, shop: str, wanted: Callable[[Lists], bool]) -> Lists:
        """Wait until a shop's lists are as wanted and return them."""
        return await_(lambda: (lists := self.lists(shop)) and wanted(lists) and lists)

    def metric(self, instance: str, name: str, **labels: str) -> float:
        page = urllib.request.urlopen(self.stack.health_url(instance) + "/metrics", timeout=5).read().decode()
        return counted(page, name, **labels)

    def is_ready(self, instance: str) -> bool:
        try:
            return urllib.request.urlopen(self.stack.health_url(instance) + "/ready", timeout=5).status == 200
        except OSError:
            return False


def await_(holds: Callable[[], Any]) -> Any:
    until = time.monotonic() + WAIT_SECONDS
    while not (found := holds()):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def seen(shop: str, cell: str, count: int = 10, kind: Kind = Kind.PRODUCT, back: int = 0) -> Counted:
    window = (TODAY - timedelta(days=back)).isoformat()
    return Counted(storefront=shop, kind=kind, window=window, cell=cell, count=count)


def some_days(shop: str) -> list[Counted]:
    """Return a shop's statistics of some days: every kind of list, some hundred numbers."""
    said = [
        seen(shop, f"product {n}", 10 * (1 + (n + back) % 7), back=back)
        for n in range(30)
        for back in range(9)
    ]
    said += [
        seen(shop, f"term {n}", 10 * (9 - back + n), Kind.SEARCH, back) for n in range(9) for back in range(9)
    ]
    said += [
        seen(shop, f"product {n}{SEPARATOR}product {n * 7 % 30}", 20, Kind.PAIR, back)
        for n in range(30)
        for back in (0, 3)
    ]
    return said


def made(said: list[Counted]) -> Lists:
    """Return the lists that these statistics make, without a process, a broker or a table."""
    numbers = Numbers()
    for each in said:
        numbers.set((each.kind, each.window, each.cell), each.count)
    return {
        (listing, of or ""): [(item.cell, item.score) for item in items]
        for (listing, of), items in lists(numbers)
    }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with temporary_state() as state:
        settings = {"recommendations": {"quiet_seconds": QUIET_SECONDS, "session_timeout_seconds": "6"}}
        yield World(stack.start(state, only=(), settings=settings))


def test_killed_it_knows_what_it_knew_and_tells_nothing_twice(world):
    """kill -9 with numbers under way: the lists are those of all numbers, and what was told stays told."""
    instance = world.one()
    shop, other = world.new_shop(), world.new_shop()
    expected = made(some_days(shop))
    world.say(*some_days(shop))
    world.tells(shop, lambda lists: lists == expected)
    told = len(world.told(shop))
    producer = world.producer()
    world.say(*some_days(other)[:200], producer=producer)
    world.kill(instance)
    world.say(*some_days(other)[200:], producer=producer)
    world.start()
    world.tells(other, lambda lists: lists == expected)
    assert world.lists(shop) == expected and len(world.told(shop)) == told


def test_an_aborted_record_changes_no_table(world):
    """Faust would have read it: its number would be in a list, and in the table for ever."""
    instance = world.one()
    read = world.metric(instance, "lethe_records_total", ending="consumed")
    shop = world.new_shop()
    producer = world.producer(**{"transactional.id": "clickstream.test"})
    producer.init_transactions()
    producer.begin_transaction()
    world.say(seen(shop, "aborted", 990), producer=producer)
    producer.abort_transaction()
    producer.begin_transaction()
    world.say(seen(shop, "committed", 10), producer=producer)
    producer.commit_transaction()
    assert world.tells(shop, lambda lists: ("hot", "") in lists)["hot", ""] == [("committed", 10.0)]
    world.say(seen(shop, "later", 10))
    assert len(world.tells(shop, lambda lists: len(lists["hot", ""]) == 2)["hot", ""]) == 2
    rows = [each.key().decode() for each in world.read(RECOMMENDATIONS_ROWS.name)]
    assert not [row for row in rows if "aborted" in row]
    # The aborted one and the markers are passed by: nothing is left to read.
    assert world.metric(instance, "lethe_records_total", ending="consumed") == read + 2


def test_a_second_instance_shares_the_shops_and_inherits_them(world):
    """A rebalance to two, and back to one when the first is killed: each shop has one teller, and none is lost."""
    first = world.one()
    shops = [world.new_shop() for _ in range(8)]
    numbers = [seen("any", f"product {n}", 10 * (n + 1), back=n % 3) for n in range(9)]

    def say_more(*more: Counted) -> None:
        numbers.extend(more)
        world.say(*(each.model_copy(update={"storefront": shop}) for shop in shops for each in more))

    def await_told() -> None:
        expected = dict.fromkeys(shops, made(numbers))
        await_(
            lambda: (
                {shop: lists for shop, lists in world.every_list().items() if shop in expected} == expected
            )
        )

    world.say(*(each.model_copy(update={"storefront": shop}) for shop in shops for each in numbers))
    await_told()
    second = world.start()
    await_(lambda: world.is_ready(first) and 0 < world.metric(second, "lethe_lanes_owned") < LANES)
    assert world.metric(first, "lethe_lanes_owned") + world.metric(second, "lethe_lanes_owned") == LANES
    say_more(seen("any", "product 1", 880))
    await_told()
    world.kill(first)
    say_more(seen("any", "new", 990))
    await_told()
    await_(lambda: world.metric(second, "lethe_lanes_owned") == LANES and world.is_ready(second))


def test_rebuilt_from_the_earliest_offset_it_is_the_same(world):
    """Once from the changelog, once without one from the statistics alone: the same rows, the same lists."""
    world.one()
    shop = world.new_shop()
    said = some_days(shop)
    for start in range(0, len(said), 200):
        world.say(*said[start : start + 200])
        time.sleep(0.3)
    expected = made(said)
    world.tells(shop, lambda lists: lists == expected)
    rows = await_(lambda: settled(lambda: table(world, shop)))
    world.stop()
    world.admin.delete([RECOMMENDATIONS_ROWS.name])
    await_(lambda: RECOMMENDATIONS_ROWS.name not in world.admin.partitions())
    world.admin.create([RECOMMENDATIONS_ROWS])
    await_group_empty(world)
    before = len(world.told(shop))
    world.start(LETHE_REBUILD="true")
    await_(lambda: table(world, shop) == rows)
    assert world.lists(shop) == expected
    again = world.told(shop)[before:]
    assert again and {(each["listing"], each.get("of", "")) for each in again} == set(expected)


def test_lists_follow_numbers_and_nothing_stays_behind(world, tmp_path):
    """Every kind of list, told once; asked to stop it ends in seconds with 0, and leaves no file."""
    instance = world.one()
    process = psutil.Process(world.stack.pid(instance))
    shop = world.new_shop()
    said = some_days(shop)
    world.say(*said, MassDropped(storefront=shop, day=TODAY.isoformat(), mass=120))
    expected = made(said)
    assert {listing for listing, _ in expected} == {"hot", "trending", "also-viewed"}
    world.tells(shop, lambda lists: lists == expected)
    before = len(world.told(shop))
    world.say(*said[:40])
    world.say(seen(shop, "no pair", 990))
    world.tells(shop, lambda lists: lists == made([*said, seen(shop, "no pair", 990)]))
    # Forty numbers said twice have changed nothing, and the new one only the list that it is in.
    assert len(world.told(shop)) == before + 1
    assert {path.path for path in process.open_files()} <= {
        str(world.stack.state / "logs" / f"{instance}.log")
    }
    started = time.monotonic()
    process.terminate()
    world.instances.remove(instance)
    await_(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    assert time.monotonic() - started < 10 and world.stack.exit_code(instance) == 0
    lines = (world.stack.state / "logs" / f"{instance}.log").read_text().splitlines()
    assert all(json.loads(line)["instance"] == instance for line in lines)
    assert not any("product" in line for line in lines)
    assert not list(Path.cwd().glob("*recommendations*"))


def test_a_bug_of_our_own_ends_the_process_and_loses_no_record(world):
    """Faust would have acknowledged the record that our code could not take, and gone on."""
    world.stop()
    shop = world.new_shop()
    world.say(seen(shop, "lamp"))
    wrong = "import services.recommendations.keeper as k; k.statistic_of = lambda _: 1 / 0; "
    run = "import runpy; runpy.run_module('services.recommendations', run_name='__main__')"
    launch = world.stack.launch(workers.named("recommendations"), "recommendations-1")
    done = subprocess.run(
        [sys.executable, "-c", wrong + run],
        env=launch.environment,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout and "Traceback" not in done.stderr
    world.one()
    assert world.tells(shop, lambda lists: ("hot", "") in lists)["hot", ""] == [("lamp", 10.0)]


def test_it_outlives_its_broker(world):
    """Kafka killed and brought back: the same process goes on, or begins again by itself."""
    instance = world.one()
    pid = world.stack.pid(instance)
    shop = world.new_shop()
    world.say(seen(shop, "before"))
    world.tells(shop, lambda lists: ("hot", "") in lists)
    world.stack.kill("kafka")
    world.stack = stack.start(world.stack.state, only=())
    world.say(seen(shop, "after"))
    assert len(world.tells(shop, lambda lists: len(lists["hot", ""]) == 2)["hot", ""]) == 2
    assert world.stack.pid(instance) == pid


def test_a_configuration_that_is_none_is_refused():
    """78 for a supervisor that must not try for ever, and no word of what it was told."""
    command = [sys.executable, "-m", "services.recommendations"]
    environment = {**os.environ, "LETHE_PRINCIPAL": "recommendations", "LETHE_QUIET_SECONDS": "soon-enough"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 78 and "quiet_seconds" in done.stdout
    assert "soon-enough" not in done.stdout + done.stderr


def table(world: World, shop: str) -> dict[bytes, bytes]:
    """Return what the changelog says of a shop."""
    found = {each.key(): each.value() for each in world.read(RECOMMENDATIONS_ROWS.name)}
    return {key: value for key, value in found.items() if value and key.startswith(f"{shop}\t".encode())}


def settled(read: Callable[[], Any]) -> Any:
    """Return what is read twice alike, else None."""
    first = read()
    time.sleep(1)
    return first if first == read() else None


def await_group_empty(world: World) -> None:
    admin = AdminClient({**world.stack.kafka_settings("admin"), "log_level": 0})

    def empty() -> bool:
        asked = admin.describe_consumer_groups(["recommendations"])
        return asked["recommendations"].result(10).state is ConsumerGroupState.EMPTY

    await_(empty)
