"""One suite for Kafka and its in-memory twin: what the loop may rely on."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.topics import Topic
from services.kernel.broker.grants import Grant
from services.kernel.broker.interface import Broker, Consumer, Message, Record, TopicPartition
from services.kernel.broker.memory import MemoryBroker
from services.kernel.broker.partition import partition_of
from services.kernel.errors import BrokerUnavailable, LaneLost, LeaseExpired
from tests.fixtures import evidence
from tests.fixtures.member import broker_as

LANES = 4


@dataclass
class World:
    """A broker, two empty topics on it, and a group name."""

    broker: Broker
    a: str
    b: str
    group: str
    platform: Any = None
    """None: the broker is the twin."""
    consumers: list[Consumer] = field(default_factory=list)

    async def join(self, *, take_from_start: bool = True) -> "Member":
        member = Member(self.broker.consumer(self.group, [self.a, self.b]), take_from_start)
        self.consumers.append(member.consumer)
        await member.consumer.start(member)
        return member

    async def send(self, topic: str, *keys: str) -> None:
        producer = self.broker.producer()
        await producer.start()
        await producer.send(
            [Message(topic, key.encode(), b"v-" + key.encode(), [("h", b"1")]) for key in keys]
        )
        await producer.stop()

    def own_time(self) -> str:
        """Return a new topic that leaves the time of a record to its writer; the twin's topics all do."""
        if self.platform is None:
            return self.b
        name = str(self.platform.new_name())
        topic = Topic(name, (), frozenset(), frozenset(), partitions=LANES, hourly_time=True)
        self.platform.admin.create([topic])
        self.platform.admin.grant({Grant(self.group, "WRITE", "TOPIC", name)})
        return name

    def times(self, topic: str, partition: int) -> list[Any]:
        """Return the timestamp of every record, as any reader of the topic sees it."""
        if isinstance(self.broker, MemoryBroker):
            found = sorted(self.broker.times.items())
            return [said for at, said in found if at[:2] == (topic, partition)]
        entries = evidence.read(self.platform.stack, [topic])
        return [entry.time_ms for entry in entries if entry.partition == partition]


class Member:
    """Reads from wherever the group has it read, as the loop does: it seeks by itself."""

    def __init__(self, consumer: Consumer, take_from_start: bool) -> None:
        self.consumer = consumer
        self.owned: set[TopicPartition] = set()
        self.told: list[str] = []
        self._take_from_start = take_from_start

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self.owned |= set(partitions)
        self.told.append("assigned")
        for partition in partitions if self._take_from_start else ():
            self.consumer.seek(partition, 0)

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self.owned -= set(partitions)
        self.told.append("revoked")

    async def read(self, count: int) -> list[Record]:
        records: list[Record] = []
        async with asyncio.timeout(20):
            while len(records) < count:
                for batch in (await self.consumer.fetch(0.2)).values():
                    records += batch
        return records

    async def owns(self, count: int) -> set[TopicPartition]:
        async with asyncio.timeout(20):
            while len(self.owned) != count:
                await self.consumer.fetch(0.1)
        return self.owned


@pytest.fixture(params=["memory", "kafka"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        made = World(MemoryBroker({"a": LANES, "b": LANES}), "a", "b", "readers")
    else:
        platform = request.getfixturevalue("platform")
        a, b = platform.new_topic(partitions=LANES), platform.new_topic(partitions=LANES)
        user = platform.new_user(reads=[a, b], writes=[a, b])
        made = World(broker_as(platform, user, session_timeout_seconds=6), a, b, user.username, platform)
        await _coordinated(made)
    yield made
    for consumer in made.consumers:
        await consumer.stop()
    await made.broker.stop()


async def _coordinated(world: World) -> None:
    """Wait until groups have a coordinator: on a new broker the first that asks brings it about, and is put off."""
    async with asyncio.timeout(60):
        while True:
            outbox = world.broker.outbox(world.group, TopicPartition(world.a, LANES - 1))
            try:
                await outbox.start()
            except BrokerUnavailable:
                await asyncio.sleep(0.2)
            else:
                return
            finally:
                await outbox.stop()


async def test_what_is_sent_is_read_with_key_value_headers_and_in_order(world: World) -> None:
    await world.send(world.a, "k1", "k1", "k2")
    member = await world.join()
    records = await member.read(3)
    mine = [record for record in records if record.key == b"k1"]
    assert [record.value for record in mine] == [b"v-k1", b"v-k1"]
    assert mine[0].offset < mine[1].offset
    assert mine[0].partition == partition_of(b"k1", LANES)
    assert list(mine[0].headers) == [("h", b"1")]


async def test_a_topic_may_leave_the_time_to_its_writer(world: World) -> None:
    """The hour of a click is all that its record's timestamp says; everywhere else the broker says when it came."""
    hour, before = 1_795_000_000_000, int(time.time() * 1_000)
    own = world.own_time()
    for topic in (own, world.a):
        producer = world.broker.producer()
        await producer.start()
        await producer.send([Message(topic, b"k1", b"v", (), partition=2, timestamp_ms=hour)])
        await producer.stop()
    assert world.times(own, 2) == [hour]
    if world.platform is not None:
        assert abs(world.times(world.a, 2)[0] - before) < 600_000


async def test_a_lane_is_never_split_between_members(world: World) -> None:
    first = await world.join()
    assert len(await first.owns(2 * LANES)) == 2 * LANES
    second = await world.join()
    reading = asyncio.create_task(first.owns(LANES))
    theirs = await second.owns(LANES)
    mine = await reading
    assert not mine & theirs
    for member in (mine, theirs):
        lanes = {partition.partition for partition in member}
        assert member == {TopicPartition(topic, lane) for topic in (world.a, world.b) for lane in lanes}
    assert first.told == ["assigned", "revoked", "assigned"]


async def test_a_seek_discards_what_was_prefetched(world: World) -> None:
    await world.send(world.a, "k1", "k1", "k1")
    member = await world.join()
    assert len(await member.read(3)) == 3
    partition = TopicPartition(world.a, partition_of(b"k1", LANES))
    member.consumer.seek(partition, 1)
    assert [record.offset for record in await member.read(2)] == [1, 2]
    assert await member.consumer.position(partition) == 3


async def test_nothing_is_fetched_before_somebody_said_from_where(world: World) -> None:
    """Neither the beginning nor the end is a guess that a driver may make: where a lane is, its database knows."""
    member = await world.join(take_from_start=False)
    await member.owns(2 * LANES)
    for _ in range(6):
        await world.send(world.a, "k1")
        assert not any((await member.consumer.fetch(0.2)).values())
    partition = TopicPartition(world.a, partition_of(b"k1", LANES))
    for each in member.owned:
        member.consumer.seek(each, 4 if each == partition else 0)
    assert [record.offset for record in await member.read(2)] == [4, 5]


async def test_a_paused_partition_waits_and_the_member_stays(world: World) -> None:
    member = await world.join()
    await member.owns(2 * LANES)
    partition = TopicPartition(world.a, partition_of(b"k1", LANES))
    member.consumer.pause([partition])
    await world.send(world.a, "k1")
    assert not (await member.consumer.fetch(0.5)).get(partition)
    member.consumer.resume([partition])
    assert len(await member.read(1)) == 1


async def test_ends_beginnings_and_committed_offsets(world: World) -> None:
    await world.send(world.a, "k1", "k1")
    member = await world.join()
    await member.read(2)
    partition = TopicPartition(world.a, partition_of(b"k1", LANES))
    assert await member.consumer.ends([partition]) == {partition: 2}
    assert await member.consumer.beginnings([partition]) == {partition: 0}
    assert await member.consumer.committed([partition]) == {}
    await member.consumer.commit({partition: 1})
    assert await member.consumer.committed([partition]) == {partition: 1}


async def test_an_outbox_remembers_its_position_with_what_it_published(world: World) -> None:
    lane = TopicPartition(world.a, 1)
    outbox = world.broker.outbox(world.group, lane)
    assert await outbox.start() == 0
    await outbox.publish([Message(world.b, b"k1", b"1", ())], 7)
    await outbox.publish([Message(world.b, b"k1", b"2", ()), Message(world.b, b"k1", None, ())], 9)
    await outbox.stop()
    again = world.broker.outbox(world.group, lane)
    assert await again.start() == 9
    await again.stop()
    member = await world.join()
    assert [record.value for record in await member.read(3)] == [b"1", b"2", None]


async def test_a_new_owner_fences_the_old_one(world: World) -> None:
    """A zombie's publish is refused, and readers of committed records never see it."""
    lane = TopicPartition(world.a, 1)
    zombie, owner = world.broker.outbox(world.group, lane), world.broker.outbox(world.group, lane)
    await zombie.start()
    await zombie.publish([Message(world.b, b"k1", b"before", ())], 1)
    assert await owner.start() == 1
    with pytest.raises(LaneLost):
        await zombie.publish([Message(world.b, b"k1", b"zombie", ())], 2)
    await owner.publish([Message(world.b, b"k1", b"after", ())], 2)
    member = await world.join()
    assert [record.value for record in await member.read(2)] == [b"before", b"after"]
    await zombie.stop()
    await owner.stop()


async def test_what_is_no_longer_valid_at_the_commit_is_not_published(world: World) -> None:
    lane = TopicPartition(world.a, 1)
    outbox = world.broker.outbox(world.group, lane)
    await outbox.start()

    def too_late() -> None:
        raise LeaseExpired

    with pytest.raises(LeaseExpired):
        await outbox.publish([Message(world.b, b"k1", b"1", ())], 7, too_late)
    await outbox.stop()
    again = world.broker.outbox(world.group, lane)
    assert await again.start() == 0
    await again.publish([Message(world.b, b"k1", b"2", ())], 8)
    await again.stop()
    member = await world.join()
    assert [record.value for record in await member.read(1)] == [b"2"]


async def test_topics_have_ids_and_missing_ones_have_none(world: World) -> None:
    ids = await world.broker.topic_ids([world.a, world.b, "missing"])
    assert set(ids) == {world.a, world.b}
    assert ids[world.a] != ids[world.b]
