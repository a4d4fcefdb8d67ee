"""What the relay promises when owners of a lane follow each other, and something fails in between."""

import asyncio

import pytest

from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.errors import StoreUnavailable
from services.kernel.storage.interface import OutboxRow
from services.kernel.worker.relay import Relay
from tests.unit.kernel.sample import World, worker

LANE = "3"


async def test_a_takeover_that_half_failed_publishes_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer has fenced, the table could not be read: what is on Kafka already is still in the table."""
    world = World()
    async with world.storage.transaction(LANE) as tx:
        await tx.append([OutboxRow("shipments", "a" * 32, b"{}", (), "a" * 32, None, ())])
    killed = world.broker.outbox("sample", TopicPartition("words", int(LANE)))
    await killed.start()
    await killed.publish([Message("shipments", b"a" * 32, b"{}", ())], 1)

    relay = Relay(worker(), LANE, world.broker, world.storage)
    answer = world.storage.last_number

    async def away(lane: str) -> int:
        monkeypatch.setattr(world.storage, "last_number", answer)
        raise StoreUnavailable("away")

    monkeypatch.setattr(world.storage, "last_number", away)
    with pytest.raises(StoreUnavailable):
        await relay.publish()
    await relay.publish()

    assert len(world.broker.records("shipments")) == 1
    assert await world.storage.outbox(LANE, 10) == []


async def test_rows_that_another_process_leaves_in_a_lane_are_published_by_its_owner() -> None:
    """A frozen owner that wakes may fold a timer of a lane it has lost, before it hears of that, and then end."""
    world = World()
    world.start()
    await world.joined()
    async with world.storage.transaction(LANE) as tx:
        await tx.append([OutboxRow("shipments", "a" * 32, b"{}", (), "a" * 32, None, ())])
    async with asyncio.timeout(30):
        while not world.broker.records("shipments"):
            await asyncio.sleep(0.01)
    await world.stop()
    assert len(world.broker.records("shipments")) == 1
