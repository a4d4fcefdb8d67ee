"""One lane of the sample without a loop around it, and a broker that hands out one topic late."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.broker.memory import MemoryConsumer
from services.kernel.clock import SystemClock
from services.kernel.worker.decode import Decoder
from services.kernel.worker.lane import Lane
from services.kernel.worker.turn import Turn
from tests.unit.kernel.sample import World, worker


class Nobody:
    """A listener that does nothing with what it is given."""

    async def assigned(self, partitions: object) -> None: ...

    async def revoked(self, partitions: object) -> None: ...


@dataclass
class Alone:
    """A lane that has learned its position and waits for records, which the test offers."""

    lane: Lane
    turn: Turn
    consumer: MemoryConsumer


async def lane_alone(world: World, name: str) -> Alone:
    """Begin a lane on the partitions of its number; stop the consumer in the end."""
    sample = worker()
    consumer = world.broker.consumer("sample", ["words", COMMANDS.name])
    await consumer.start(Nobody())
    turn = Turn(sample, world.storage, Decoder(sample), "1")
    partitions = [TopicPartition(topic, int(name)) for topic in ("words", COMMANDS.name)]
    lane = Lane(
        name, partitions, sample, world.broker, consumer, world.storage, turn, SystemClock(), restored=False
    )  # fmt: skip
    await lane._begin()
    return Alone(lane, turn, consumer)


class Late:
    """Holds one topic back from every fetch until it is let go; the others are there at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
        self._held = True
        self._fetches = 0
        fetch, late = MemoryConsumer.fetch, self

        async def others_first(
            consumer: MemoryConsumer, seconds: float
        ) -> Mapping[TopicPartition, Sequence[Record]]:
            late._fetches += 1
            mine = {each for each in consumer._positions if each.topic == topic and late._held}
            held_back = mine - consumer._paused
            consumer._paused |= held_back
            try:
                return await fetch(consumer, seconds)
            finally:
                consumer._paused -= held_back

        monkeypatch.setattr(MemoryConsumer, "fetch", others_first)

    async def missed(self) -> None:
        """Wait until the others would have been read long ago."""
        async with asyncio.timeout(20):
            while self._fetches < 50:
                await asyncio.sleep(0.001)

    def let_go(self) -> None:
        """Hand it out from now on."""
        self._held = False
