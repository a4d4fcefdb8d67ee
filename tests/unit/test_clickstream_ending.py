"""The part of the process that cuts windows off: what it does while Kafka is away, and when it is broken itself."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from schemas.clicks import Kind, window_of
from schemas.topics import STATISTICS
from services.clickstream import ending
from services.clickstream.domain import KEPT, Reason, Rules, Span
from services.clickstream.store import Number
from services.clickstream.store_memory import MemoryClicks
from services.kernel.errors import BrokerUnavailable
from services.kernel.storage.memory import MemoryStorage
from services.kernel.telemetry import metrics
from tests.fixtures.clickroom import SHOP, Room
from tests.fixtures.clicks import yesterday

DAY = timedelta(days=1)


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr(ending, "LOOK_SECONDS", 0.01)
    yield await Room(MemoryStorage(), MemoryClicks(), Rules(crowd=5, grace=timedelta(0))).begin()


async def test_without_the_end_of_the_log_nothing_is_cut_off(room: Room) -> None:
    """A cut that was guessed would leave out what the gateway had sent in time."""
    room.say(room.crowd(yesterday(), "p1", 6))
    await room.read()
    room.broker.away = True
    with pytest.raises(BrokerUnavailable):
        await room.ending.look()
    assert await room.cuts() == {}


async def test_it_goes_on_when_kafka_is_back(room: Room) -> None:
    room.say(room.crowd(yesterday(), "p1", 6))
    await room.read()
    room.broker.away = True
    await room.ending.start()
    await asyncio.sleep(0.05)
    assert room.ending.ready and await room.cuts() == {}
    room.broker.away = False
    async with asyncio.timeout(10):
        while not await room.cuts():
            await asyncio.sleep(0.01)
    await room.ending.stop()
    await room.turns()
    assert await room.told() == {(SHOP, yesterday(), "product", "p1"): 5}


async def test_a_worker_whose_windows_cannot_close_is_not_ready(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not room.ending.ready

    async def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(room.store, "over", bug)
    await room.ending.start()
    async with asyncio.timeout(10):
        while room.ending.ready:
            await asyncio.sleep(0.01)
    with pytest.raises(ZeroDivisionError):
        await room.ending.stop()


async def test_what_became_of_every_cell_is_a_metric(room: Room) -> None:
    cells = room.crowd(yesterday(), "p1", 6)
    room.say(cells + cells[:2])
    await room.read()
    await room.ending.look()
    shown = {
        sample.labels["reason"]: sample.value
        for family in metrics.CELLS.collect()
        for sample in family.samples
    }
    assert shown == {**dict.fromkeys(Reason, 0), "counted": 6, "repeated": 2}


async def test_published_numbers_are_kept_as_long_as_their_topic_keeps_them(room: Room) -> None:
    """A look deletes what is older, a window with all its numbers and what was dropped of it."""
    assert STATISTICS.keep == KEPT
    async with room.storage.transaction("0") as tx:
        old, young = (
            Span(SHOP, window_of(tx.at - KEPT - days, hourly=False)) for days in (2 * DAY, -2 * DAY)
        )
        for span in (old, young):
            await room.store.propose(tx, span, [Number(Kind.PRODUCT, "p1", 10)])
            await room.store.publish(tx, span, [Number(Kind.PRODUCT, "p1", 10)])
        await room.store.publish_masses(tx, {old: 100, young: 100})
    await room.ending.look()
    async with room.storage.transaction("0") as tx:
        assert set(tx.connection["statistic"]) == {(*young, Kind.PRODUCT, "p1")}
        assert set(tx.connection["mass"]) == {young}


async def test_what_was_sent_while_it_was_decided_that_a_window_is_over_is_in_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log ends is read afterwards: a gateway whose records came until then was in time."""
    room.say(room.crowd(yesterday(), "p1", 4))
    await room.read()
    over = room.store.over

    async def sent_meanwhile(*asked: Any) -> list[Span]:
        found = await over(*asked)
        if found:
            room.say(room.crowd(yesterday(), "p1", 6))
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(room.store, "over", sent_meanwhile)
        await room.ending.look()
    await room.read()
    await room.turns()
    assert await room.told() == {(SHOP, yesterday(), "product", "p1"): 5}


async def test_what_is_counted_already_is_not_cut_off(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane may have read on since the end of the log was asked for: the cut lies where it is by then."""
    room.say(room.crowd(yesterday(), "p1", 4))
    await room.read()
    ends = room.broker.ends

    async def read_on(partitions: Any) -> Any:
        found = await ends(partitions)
        room.say(room.crowd(yesterday(), "p1", 6))
        await room.read()
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(room.broker, "ends", read_on)
        await room.ending.look()
    await room.turns()
    assert await room.told() == {(SHOP, yesterday(), "product", "p1"): 5}
    await room.as_expected()
