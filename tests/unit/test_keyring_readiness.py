"""A keyring that was restored, or has just started, serves nobody before it knows what was said meanwhile (R3)."""

import asyncio
from pathlib import Path

import pytest

from schemas.topics import COMMANDS, HOLDS, LANES
from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.broker.memory import MemoryBroker
from services.kernel.storage.memory import MemoryStorage
from services.keyring import chores
from services.keyring.chores import Chores
from services.keyring.kek import KekDirectory, Keks
from services.keyring.readiness import Replay
from tests.fixtures.keyring import settings_for


async def test_nobody_is_served_before_holds_and_commands_are_replayed() -> None:
    broker, storage = MemoryBroker({HOLDS.name: LANES, COMMANDS.name: LANES}), MemoryStorage()
    ends = {
        TopicPartition(HOLDS.name, 3): 2,
        TopicPartition(COMMANDS.name, 3): 1,
        TopicPartition(COMMANDS.name, 7): 1,
    }
    for partition, count in ends.items():
        for _ in range(count):
            broker.append(Message(partition.topic, b"k", b"{}", (), partition.partition))
    replay = Replay(broker, storage)
    assert not replay.ready, "not even asked where the topics end"
    await replay.start()
    assert not replay.ready
    # What is written from now on is for the loop; nobody waits for it here.
    broker.append(Message(HOLDS.name, b"k", b"{}", (), 5))
    for partition, end in ends.items():
        await storage.begin(str(partition.partition), {partition: end - 1})
        await replay._level.look()
        assert not replay.ready, partition
        await storage.begin(str(partition.partition), {partition: end}, force=True)
        await replay._level.look()
    async with asyncio.timeout(20):
        while not replay.ready:
            await asyncio.sleep(0.01)
    await replay.stop()


async def test_no_ground_ends_by_its_date_before_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copy of three weeks ago every order of that day is provisional: who confirmed it since is yet to be read."""
    expired: list[object] = []

    async def expire(pool: object) -> int:
        expired.append(pool)
        return 0

    async def nothing(_: Chores) -> None: ...

    monkeypatch.setattr(chores, "expire", expire)
    monkeypatch.setattr(Chores, "_measure", nothing)
    replayed = False
    settings = settings_for("postgresql://keyring:-@127.0.0.1:1/keyring", tmp_path)
    keks = Keks(KekDirectory(settings.kek_directory))
    work = Chores(settings, Rows(), keks, lambda: replayed)  # type: ignore[arg-type]
    await work._once()
    assert not expired
    replayed = True
    await work._once()
    assert len(expired) == 1


class Rows:
    """A database with nothing in it."""

    @property
    def pool(self) -> "Rows":
        return self

    async def fetch(self, *_: object) -> list[object]:
        return []


async def test_an_empty_platform_is_served_at_once() -> None:
    replay = Replay(MemoryBroker({HOLDS.name: LANES, COMMANDS.name: LANES}), MemoryStorage())
    await replay.start()
    assert replay.ready
    await replay.stop()
