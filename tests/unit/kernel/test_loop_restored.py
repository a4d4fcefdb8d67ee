"""What a lane does that has much before it: one that is new, or whose database was restored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.topics import LANES, Topic
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.broker.memory import MemoryBroker, MemoryConsumer, MemoryOutbox
from services.kernel.ids import random_id
from services.kernel.worker.decode import lane_of
from services.kernel.worker.loop import Loop
from tests.unit.kernel.sample import TOPICS, Rang, World, message, said, worker

ANNA, ORDER = random_id(), random_id()
BELLS = Topic("bells", (Rang,), frozenset({"carriers"}), frozenset({"sample"}))


async def test_a_restored_lane_gives_no_number_before_it_knows_which_were_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its producer comes late, a word is there at once: what follows from it must not pass for published."""
    world = World()
    world.start()
    for word in ("one", "two"):
        world.broker.append(said(ANNA, ORDER, word))
    await world.settle(2)
    await world.stop()
    world.storage.tables.numbers[str(lane_of(ANNA, LANES))] = 0
    start = MemoryOutbox.start

    async def late(self: Any) -> int:
        await asyncio.sleep(0.3)
        return await start(self)

    monkeypatch.setattr(MemoryOutbox, "start", late)
    world.broker.append(said(ANNA, ORDER, "three"))
    world.start(restored=True)
    await world.settle(3)
    await world.stop()
    assert world.echoed(ORDER) == ["one", "two", "three"]


async def test_what_was_written_before_is_read_in_the_order_of_the_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An order's delivery must not be read before the order, though Kafka hands it out first."""
    slow, calls, fetch = True, 0, MemoryConsumer.fetch

    async def bells_first(self: Any, seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        nonlocal calls
        calls += 1
        held_back = {each for each in self._positions if each.topic == "words" and slow} - self._paused
        self._paused |= held_back
        try:
            return await fetch(self, seconds)
        finally:
            self._paused -= held_back

    monkeypatch.setattr(MemoryConsumer, "fetch", bells_first)
    world = World()
    world.broker = MemoryBroker({**TOPICS, "bells": LANES}, world.effects)
    world.broker.append(message("bells", ANNA, Rang(order=ORDER), random_id()))
    world.broker.append(said(ANNA, ORDER, "one"))
    plain = worker()
    loop = Loop(replace(plain, reads=(plain.reads[0], BELLS, plain.reads[1])), world.broker, world.storage)
    world.loops.append((loop, asyncio.create_task(loop.run())))
    async with asyncio.timeout(20):
        while calls < 50:
            await asyncio.sleep(0.001)
    assert world.heard() == {}
    slow = False
    await world.settle(2)
    await world.stop()
    assert world.heard() == {ORDER: ("one", "rang")}
