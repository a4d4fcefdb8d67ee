"""Where contestants run: orders that wait on topics, and a database for all that are not ours."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.local.stack import Stack
from schemas.topics import LANES, ORDERS
from tests.benchmarks import supply
from tests.benchmarks.contestants.task import TABLE, Task
from tests.fixtures import evidence
from tests.fixtures.platform import Platform

Ends = Mapping[int, int]
"""Offset of each partition."""


@dataclass(frozen=True)
class Emission:
    """What was emitted: the broker's time of each event in order, and how often each order was spoken of."""

    at: list[float]
    orders: Counter[str]


@dataclass
class Arena:
    """A platform with orders on it; the same orders for everybody who is given as many."""

    stack: Stack
    platform: Platform = field(init=False)
    dsn: str = field(init=False)
    """The database of all contestants but ours: one table."""
    _sources: dict[int, str] = field(default_factory=dict)
    _filled: int = 0
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self.platform = Platform(self.stack)
        self.dsn = self.new_database()
        self._admin = AdminClient(self.stack.kafka_settings("admin"))

    def new_database(self) -> str:
        """Create a database with the contestants' one table; return how to log in."""
        dsn = self.platform.new_database("bench")
        evidence.rows(dsn, TABLE)
        # Quix Streams asks for its schema to be created even where it exists.
        login = urlsplit(dsn)
        name = login.path.strip("/")
        granted = f'GRANT CREATE ON DATABASE "{name}" TO "{login.username}"'
        evidence.rows(self.stack.admin_dsn(database=name), granted)
        return dsn

    def source(self, orders: int) -> str:
        """Return a topic on which so many orders wait."""
        if orders == self._filled:
            return ORDERS.name
        if orders not in self._sources:
            self._sources[orders] = self.new_topic(f"orders-{orders}")
            supply.load(self.stack, self._sources[orders], orders)
        return self._sources[orders]

    def fill(self, orders: int) -> int:
        """Bring the topic that the orders worker reads to at least so many orders; return how many it has."""
        if orders > self._filled:
            supply.load(self.stack, ORDERS.name, orders - self._filled)
            self._filled = orders
        return self._filled

    def new_topic(self, name: str) -> str:
        """Create a topic of as many partitions as ours have."""
        return self.platform.new_topic(name, LANES)

    def task(self, name: str, source: str, dsn: str) -> Task:
        """Return a task on a new topic and for a new group; its table is empty."""
        login, target = self.platform.admin_login, self.new_topic(f"out-{name}")
        evidence.rows(dsn, "TRUNCATE state")
        return Task(self.platform.kafka, login.username, login.password, dsn, source, target, target)

    def settle(self) -> None:
        """Let the database write what it put off, or the next contestant would pay for it."""
        evidence.rows(self.stack.admin_dsn(), "CHECKPOINT")

    def ends(self, topic: str) -> Ends:
        """Return where a topic ends."""
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(LANES)}
        until = time.monotonic() + 30
        while True:
            found = self._admin.list_offsets(asked, request_timeout=20)
            try:
                return {partition.partition: future.result().offset for partition, future in found.items()}
            except KafkaException:  # A topic made a moment ago has no leader yet.
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def forget_group(self, group: str) -> None:
        """Delete a group's offsets, so that its records may be read again."""
        for future in self._admin.delete_consumer_groups([group], request_timeout=20).values():
            future.result()

    def emission(self, topic: str, since: Ends) -> Emission:
        """Return what readers of committed records see of a topic."""
        reader = Consumer(
            {
                **self.stack.kafka_settings("admin"),
                "group.id": "bench",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        reader.assign([TopicPartition(topic, number, offset) for number, offset in since.items()])
        at, orders, ended = [], Counter[str](), 0
        while ended < len(since):
            for record in reader.consume(10_000, 1.0):
                if record.error() is None:
                    at.append(record.timestamp()[1] / 1000)
                    orders[orjson.loads(record.value())["order"]] += 1
                elif record.error().code() == KafkaError._PARTITION_EOF:
                    ended += 1
        reader.close()
        return Emission(sorted(at), orders)
