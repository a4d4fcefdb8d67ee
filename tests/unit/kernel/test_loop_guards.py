"""Guards of the loop that the stories of `test_loop.py` would get along without: each is shown alone here."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from schemas.erasure import Erase
from schemas.topics import COMMANDS
from services.kernel.broker.interface import Message, Record, TopicPartition
from services.kernel.broker.memory import MemoryConsumer
from services.kernel.ids import random_id
from services.kernel.worker import outgoing
from services.kernel.worker.decode import Decoder, lane_of
from services.kernel.worker.endings import CONSUMED, DEAD_LETTERED, SUPPRESSED
from services.kernel.worker.turn import Batch, Turn
from tests.unit.kernel.lane_room import Late, lane_alone
from tests.unit.kernel.sample import ECHOES, Echo, HeardStore, World, message, said, worker

ANNA, ORDER, OTHER = random_id(), random_id(), random_id()
LANE = str(lane_of(ANNA, 12))
WORDS, LEDGER = TopicPartition("words", int(LANE)), TopicPartition(COMMANDS.name, int(LANE))


def erasure() -> Message:
    return message(COMMANDS.name, ANNA, Erase(request="a" * 32, round=1, but=()), random_id())


async def one_batch(world: World, *messages: Message) -> None:
    """Handle these records as one batch of their lane."""
    records = [world.broker.append(each) for each in messages]
    ends = dict.fromkeys((WORDS, LEDGER), 0)
    for record in records:
        ends[TopicPartition(record.topic, record.partition)] += 1
    await world.storage.begin(LANE, dict.fromkeys(ends, 0))
    sample = worker()
    turn = Turn(sample, world.storage, Decoder(sample), "1")
    await turn.handle(LANE, Batch(records, dict.fromkeys(ends, 0), ends))


async def test_what_was_fetched_before_a_seek_is_discarded() -> None:
    """A fetch under way when the lane begins anew brings records from somewhere else: between lies what is missing."""
    world = World()
    records = [world.broker.append(said(ANNA, ORDER, word)) for word in ("one", "two", "three")]
    alone = await lane_alone(world, LANE)
    lane, consumer = alone.lane, alone.consumer
    before = lane.epoch
    await lane._begin()
    lane.offer(WORDS, records[2:], before)
    assert lane.waiting == 0
    assert await consumer.position(WORDS) == 0, "fetched again from where the lane is"
    lane.offer(WORDS, records, lane.epoch)
    assert lane.waiting == 3
    await consumer.stop()


async def test_records_offered_while_markers_are_passed_do_not_leave_the_lane_behind_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The position rises to the end of the topic: a lag that never returns to zero would scale on nothing."""
    world = World()
    alone = await lane_alone(world, LANE)
    lane, turn, consumer = alone.lane, alone.turn, alone.consumer
    handle, late = turn.handle, list[Record]()

    async def offering(name: str, batch: Batch) -> None:
        if not batch.records and not late:
            late.append(world.broker.append(said(ANNA, ORDER, "one")))
            consumer.seek(WORDS, late[0].offset + 1)
            lane.offer(WORDS, late, lane.epoch)
        await handle(name, batch)

    monkeypatch.setattr(turn, "handle", offering)
    world.broker.mark(WORDS)
    consumer.seek(WORDS, 1)
    await lane._handle_what_waits()
    await lane._handle_what_waits()
    world.broker.mark(WORDS)
    consumer.seek(WORDS, 3)
    await lane._handle_what_waits()
    assert world.heard() == {ORDER: ("one",)}
    assert lane.positions[WORDS] == 3
    await consumer.stop()


async def test_nothing_is_read_before_the_erasures_known_at_assignment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ledger comes slowly, the words are there at once: still nothing is folded for who is erased."""
    ledger = Late(monkeypatch, COMMANDS.name)
    world = World()
    world.broker.append(said(ANNA, ORDER, "one"))
    world.broker.append(erasure())
    world.start()
    await ledger.missed()
    assert world.heard() == {}
    ledger.let_go()
    await world.settle(2)
    await world.stop()
    assert world.heard() == {} and world.echoed(ORDER) == []
    assert world.storage.tables.endings["words", SUPPRESSED] == 1


async def test_a_batch_that_brings_an_erasure_obeys_it_first() -> None:
    """Kafka orders nothing across topics: within a batch the erasure counts for all of it, and nothing is said."""
    world = World()
    await one_batch(world, said(ANNA, ORDER, "one"), erasure(), said(ANNA, OTHER, "two"))
    assert world.heard() == {}
    assert [row.topic for row in await world.storage.outbox(LANE, 10)] == ["erasure.receipts"]
    assert world.storage.tables.endings["words", SUPPRESSED] == 2


async def test_within_one_batch_too_a_key_waits_behind_its_failed_record() -> None:
    world = World()
    words = [said(ANNA, ORDER, word) for word in ("one", "bug", "two")]
    await one_batch(world, *words, said(ANNA, OTHER, "two"))
    assert world.heard() == {ORDER: ("one",), OTHER: ("two",)}
    letters = world.storage.tables.letters[LANE]
    assert [(each.code, each.parked) for each in letters] == [
        ("bug-ZeroDivisionError", False),
        ("behind-failed", True),
    ]
    assert world.storage.tables.endings["words", CONSUMED] == 2


async def test_what_kafka_would_refuse_is_refused_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row too large for its topic is a dead letter of the record that caused it; the lane goes on."""
    fits = len(Echo(order=ORDER, word="fits").model_dump_json())
    monkeypatch.setattr(outgoing, "MOST_BYTES", fits)
    world = World()
    await one_batch(world, said(ANNA, ORDER, "toolarge"), said(ANNA, OTHER, "fits"))
    assert world.heard() == {OTHER: ("fits",)}
    assert [row.topic for row in await world.storage.outbox(LANE, 10)] == [ECHOES.name]
    (letter,) = world.storage.tables.letters[LANE]
    assert (letter.code, letter.blocks) == ("store-54000", True)
    assert world.storage.tables.endings["words", DEAD_LETTERED] == 1


async def test_a_fetch_under_way_is_never_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cancelled fetch disables the driver's own watchdog for good (tried)."""
    fetch, under_way, cancelled = MemoryConsumer.fetch, asyncio.Event(), False

    async def slow(self: Any, seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        nonlocal cancelled
        under_way.set()
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            cancelled = True
            raise
        return await fetch(self, seconds)

    monkeypatch.setattr(MemoryConsumer, "fetch", slow)
    world = World()
    world.start()
    await world.joined()
    under_way.clear()
    await asyncio.wait_for(under_way.wait(), 20)
    await world.stop()
    assert not cancelled


async def test_a_rebalance_waits_for_the_batch_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torn out of its owner's hand, every batch of a rebalance would be done twice."""
    save, begun, go_on = HeardStore.save, asyncio.Event(), asyncio.Event()
    begins = 0

    async def slow(self: HeardStore, tx: Any, states: Any) -> None:
        nonlocal begins
        begins += 1
        begun.set()
        await go_on.wait()
        await save(self, tx, states)

    monkeypatch.setattr(HeardStore, "save", slow)
    world = World()
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await asyncio.wait_for(begun.wait(), 20)
    joining = world.start()
    async with asyncio.timeout(20):
        while len(world.broker.groups["sample"].members) < 2:
            await asyncio.sleep(0.001)
    for _ in range(20):
        await asyncio.sleep(0.001)
    go_on.set()
    await world.settle(1)
    await world.joined()
    assert joining.ready and begins == 1
    await world.stop()
