"""What a lane does that has much before it: one that is new, or whose database was restored."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from schemas.envelope import Envelope
from schemas.topics import LANES, Topic
from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.broker.memory import MemoryBroker, MemoryOutbox
from services.kernel.errors import RetryableError
from services.kernel.ids import random_id, repeated_chance
from services.kernel.storage.interface import OutboxRow
from services.kernel.worker.decode import lane_of
from services.kernel.worker.level import Level
from services.kernel.worker.loop import Loop
from services.kernel.worker.relay import Relay
from tests.unit.kernel.lane_room import Late
from tests.unit.kernel.sample import TOPICS, Rang, World, message, said, worker

ANNA, ORDER = random_id(), random_id()
SHIPMENTS = "partner.swift.shipments"
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
    words = Late(monkeypatch, "words")
    world = World()
    world.broker = MemoryBroker({**TOPICS, "bells": LANES}, world.effects)
    world.broker.append(message("bells", ANNA, Rang(order=ORDER), random_id()))
    world.broker.append(said(ANNA, ORDER, "one"))
    plain = worker()
    loop = Loop(replace(plain, reads=(plain.reads[0], BELLS, plain.reads[1])), world.broker, world.storage)
    world.loops.append((loop, asyncio.create_task(loop.run())))
    await words.missed()
    assert world.heard() == {}
    words.let_go()
    await world.settle(2)
    await world.stop()
    assert world.heard() == {ORDER: ("one", "rang")}


async def test_chance_comes_again_with_the_lanes_seed() -> None:
    """The same event has the same random bits whenever it is decided; another lane or event has others."""
    seed, other = random_id().encode(), random_id().encode()
    chance = repeated_chance(seed, "/storefronts/shop", "one")
    assert chance == repeated_chance(seed, "/storefronts/shop", "one") and len(chance) == len(random_id())
    assert len({chance, repeated_chance(other, "/storefronts/shop", "one")}) == 2
    assert len({chance, repeated_chance(seed, "/storefronts/shop", "two")}) == 2


async def test_what_a_partner_reads_already_is_not_told_again() -> None:
    """A restored lane writes the same events once more; to its partners only what is new."""
    world = World()
    world.broker = MemoryBroker({**TOPICS, SHIPMENTS: 1}, world.effects)

    def row(event_id: str) -> OutboxRow:
        headers = Envelope(id=event_id, type="lethe.copy.revoked.v1", source="/workers/sample").headers()
        return OutboxRow(SHIPMENTS, "r" * 32, None, headers, None, None, ())

    world.broker.append(Message(SHIPMENTS, b"r" * 32, None, row("a").headers))
    async with world.storage.transaction("3") as tx:
        await tx.append([row("a"), row("b")])
    relay = Relay(worker(), "3", world.broker, world.storage, restored=True)
    await relay.publish()
    await relay.publish()
    told = [dict(record.headers)["ce_id"] for record in world.broker.records(SHIPMENTS)]
    assert told == [b"a", b"b"] and await world.storage.outbox("3", 10) == []


async def test_a_partners_reports_wait_until_our_own_records_are_read() -> None:
    """Only what was written before counts; what others' lanes have read counts, too."""
    world, lane = World(), lane_of(ANNA, LANES)
    world.broker.append(said(ANNA, ORDER, "one"))
    level = Level(world.broker, world.storage, [TopicPartition("words", number) for number in range(LANES)])
    with pytest.raises(RetryableError, match="behind"):
        await level()
    world.broker.append(said(ANNA, ORDER, "two"))
    await world.storage.begin(str(lane), {TopicPartition("words", lane): 1})
    await level()
