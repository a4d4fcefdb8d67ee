"""The in-memory twin: topics as lists, groups with real rebalances, transactions that fence. No network."""

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.kernel.broker.assignor import lanes_to_members
from services.kernel.broker.interface import Listener, Message, Record, TopicPartition
from services.kernel.broker.partition import partition_of
from services.kernel.errors import BrokerUnavailable, ConfigurationError, LaneLost

POLL_SECONDS = 0.001


@dataclass
class Log:
    """One partition. A marker is an offset without a record, as transactions leave them."""

    records: list[Record | None] = field(default_factory=list)
    start: int = 0


@dataclass
class Group:
    """Members by name, and what they told of their progress."""

    members: dict[str, "MemoryConsumer"] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    rebalancing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One rebalance at a time, as with a coordinator: who joins meanwhile waits for the next."""


class MemoryBroker:
    """Twin of `KafkaBroker`; `effects` records what was published, in order; `away` makes every call fail."""

    def __init__(self, topics: Mapping[str, int], effects: list[tuple[str, ...]] | None = None) -> None:
        self.topics = dict(topics)
        self.ids = {name: f"id-{name}" for name in topics}
        self.logs: dict[TopicPartition, Log] = defaultdict(Log)
        self.groups: dict[str, Group] = defaultdict(Group)
        self.epochs: dict[str, int] = defaultdict(int)
        self.times: dict[tuple[str, int, int], int | None] = {}
        """What writers said of the time of a record, by topic, partition and offset."""
        self.effects: list[tuple[str, ...]] = effects if effects is not None else []
        self.away = False
        self._names = itertools.count(1)

    def consumer(self, group: str, topics: Sequence[str], *, pattern: str | None = None) -> "MemoryConsumer":
        return MemoryConsumer(self, group, topics, pattern, f"member-{next(self._names)}")

    def outbox(self, worker: str, lane: TopicPartition) -> "MemoryOutbox":
        return MemoryOutbox(self, worker, lane)

    def producer(self) -> "MemoryProducer":
        return MemoryProducer(self)

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        self.refuse_when_away()
        return {name: self.ids.get(name, f"id-{name}") for name in topics if name in self.topics}

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.refuse_when_away()
        logs = {partition: self.logs[partition] for partition in partitions}
        return {partition: log.start + len(log.records) for partition, log in logs.items()}

    async def event_ids(self, topic: str) -> frozenset[str]:
        self.refuse_when_away()
        return frozenset(
            value.decode()
            for record in self.records(topic)
            for name, value in record.headers
            if name == "ce_id"
        )

    async def stop(self) -> None:
        """Nothing to close."""

    def refuse_when_away(self) -> None:
        """Fail like a broker that cannot be reached."""
        if self.away:
            raise BrokerUnavailable("away")

    def append(self, message: Message) -> Record:
        """Write one record, as a foreign producer would."""
        number = message.partition
        if number is None:
            number = partition_of(message.key, self.topics[message.topic])
        log = self.logs[TopicPartition(message.topic, number)]
        offset = log.start + len(log.records)
        record = Record(message.topic, number, offset, message.key, message.value, tuple(message.headers))
        log.records.append(record)
        self.times[record[:3]] = message.timestamp_ms
        return record

    def mark(self, partition: TopicPartition) -> None:
        """Leave a transaction marker."""
        self.logs[partition].records.append(None)

    def records(self, topic: str) -> list[Record]:
        """Return every record of a topic, partition by partition."""
        partitions = [TopicPartition(topic, number) for number in range(self.topics[topic])]
        return [record for each in partitions for record in self.logs[each].records if record is not None]


class MemoryConsumer:
    """A group member; a join or leave takes all lanes from all members and hands them out again."""

    def __init__(
        self, broker: MemoryBroker, group: str, topics: Sequence[str], pattern: str | None, name: str
    ) -> None:
        self._broker = broker
        self._group = broker.groups[group]
        self._topics = list(topics)
        self._pattern = pattern
        self.name = name
        self._listener: Listener | None = None
        self._positions: dict[TopicPartition, int | None] = {}
        self._paused: set[TopicPartition] = set()

    async def start(self, listener: Listener) -> None:
        self._broker.refuse_when_away()
        self._listener = listener
        async with self._group.rebalancing:
            self._group.members[self.name] = self
            await self._rebalance()

    async def stop(self) -> None:
        async with self._group.rebalancing:
            self._group.members.pop(self.name, None)
            self._positions = {}
            await self._rebalance()

    async def _rebalance(self) -> None:
        members = self._group.members
        for member in members.values():
            if member._positions and member._listener:
                await member._listener.revoked(list(member._positions))
        lanes = range(
            max((self._broker.topics[t] for m in members.values() for t in m._subscribed()), default=0)
        )
        shares = lanes_to_members(lanes, {name: name for name in members}) if members else {}
        for name, share in shares.items():
            member = members[name]
            owned = [
                TopicPartition(topic, lane)
                for topic in member._subscribed()
                for lane in share
                if lane < self._broker.topics[topic]
            ]
            member._positions = dict.fromkeys(owned)
            member._paused = set()
            if member._listener:
                await member._listener.assigned(owned)

    def _subscribed(self) -> list[str]:
        if self._pattern is None:
            return self._topics
        return [topic for topic in self._broker.topics if re.fullmatch(self._pattern, topic)]

    async def fetch(self, timeout_seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        await asyncio.sleep(min(timeout_seconds, POLL_SECONDS))
        if self._broker.away:
            return {}
        fetched = {}
        for partition, position in self._positions.items():
            if position is None or partition in self._paused:
                continue
            log = self._broker.logs[partition]
            if position < log.start:
                raise ConfigurationError("position-gone")
            found = [record for record in log.records[position - log.start :] if record is not None]
            self._positions[partition] = log.start + len(log.records)
            if found:
                fetched[partition] = found
        return fetched

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    async def position(self, partition: TopicPartition) -> int:
        position = self._positions.get(partition)
        if position is None:
            raise BrokerUnavailable("no-position")
        return position

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._broker.refuse_when_away()
        return {each: self._group.committed[each] for each in partitions if each in self._group.committed}

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._broker.refuse_when_away()
        logs = {partition: self._broker.logs[partition] for partition in partitions}
        return {partition: log.start + len(log.records) for partition, log in logs.items()}

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._broker.refuse_when_away()
        return {partition: self._broker.logs[partition].start for partition in partitions}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._broker.refuse_when_away()
        self._group.committed.update({each: at for each, at in offsets.items() if each in self._positions})


class MemoryOutbox:
    """A transactional producer: starting one with the same name fences the others."""

    def __init__(self, broker: MemoryBroker, worker: str, lane: TopicPartition) -> None:
        self._broker = broker
        self._name = f"{worker}.{lane.topic}.{lane.partition}"
        self._group = broker.groups[f"{worker}.outbox"]
        self._lane = lane
        self._epoch: int | None = None

    async def start(self) -> int:
        self._broker.refuse_when_away()
        self._broker.epochs[self._name] += 1
        self._epoch = self._broker.epochs[self._name]
        return self._group.committed.get(self._lane, 0)

    async def publish(
        self, messages: Sequence[Message], number: int, valid: Callable[[], None] = lambda: None
    ) -> None:
        self._broker.refuse_when_away()
        valid()
        if self._epoch != self._broker.epochs[self._name]:
            raise LaneLost("fenced")
        touched = {}
        for message in messages:
            record = self._broker.append(message)
            touched[TopicPartition(record.topic, record.partition)] = True
            self._broker.effects.append(("published", message.topic, message.key.decode()))
        for partition in touched:
            self._broker.mark(partition)
        self._group.committed[self._lane] = number

    async def stop(self) -> None:
        self._epoch = None


class MemoryProducer:
    """A plain producer."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        self._broker.refuse_when_away()

    async def send(self, messages: Sequence[Message]) -> None:
        self._broker.refuse_when_away()
        for message in messages:
            self._broker.append(message)
            self._broker.effects.append(("published", message.topic, message.key.decode()))

    async def stop(self) -> None:
        """Nothing to close."""
