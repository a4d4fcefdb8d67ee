"""One suite for the clickstream worker on the twin in memory and on PostgreSQL: both keep the same promises (C3)."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.clicks import Kind
from schemas.topics import LANES
from services.clickstream import closing, ending
from services.clickstream.app import MIGRATIONS
from services.clickstream.domain import Reason, Rules, Span
from services.clickstream.handler import reminder
from services.clickstream.settings import Settings
from services.clickstream.store import Number, PostgresClicks
from services.clickstream.store_memory import MemoryClicks
from services.kernel.errors import StoreUnavailable
from services.kernel.storage.interface import Transaction
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.endings import CONSUMED, REPEATED
from tests.fixtures.clickroom import SHOP, Room, hour_of, now
from tests.fixtures.clicks import Door, lane_of, today, yesterday
from tests.fixtures.database import settings_at

RULES = Rules(crowd=5, grace=timedelta(0))
OVER, OPEN = yesterday(), today()


@pytest.fixture(params=["memory", "postgres"])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    if request.param == "memory":
        made = Room(MemoryStorage(), MemoryClicks(), RULES)
    else:
        dsn = request.getfixturevalue("platform").new_database()
        made = Room(PostgresStorage(settings_at(dsn, Settings), [MIGRATIONS]), PostgresClicks(), RULES)
    await made.storage.start()
    yield await made.begin()
    await made.storage.stop()


async def test_a_visitor_counts_once_per_cell_and_window(room: Room) -> None:
    """In one record, in another one, in another batch: the same tag is the same contribution."""
    cells = room.crowd(OVER, "p1", 9)
    room.say(cells + cells[:4])
    await room.read()
    room.say(cells[2:7], most=2)
    await room.read()
    assert await room.table("contribution") == 9
    assert await room.tallies() == {Reason.COUNTED: 9, Reason.REPEATED: 9}
    await room.close()
    assert await room.told() == {(SHOP, OVER, "product", "p1"): 5}


async def test_the_same_visitor_counts_again_in_another_window_cell_and_shop(room: Room) -> None:
    for window, text, shop in (
        (OVER, "p1", SHOP),
        (OVER, "p2", SHOP),
        (OPEN, "p1", SHOP),
        (OVER, "p1", "shop-b"),
    ):
        room.say(room.crowd(window, text, 5, shop), shop)
    await room.read()
    assert await room.tallies() == {Reason.COUNTED: 20}
    await room.close()
    assert await room.told() == {
        (SHOP, OVER, "product", "p1"): 5,
        (SHOP, OVER, "product", "p2"): 5,
        ("shop-b", OVER, "product", "p1"): 5,
    }


async def test_below_a_crowd_nothing_is_told_but_a_coarse_sum(room: Room) -> None:
    room.say(room.crowd(OVER, "common", 14))
    for number in range(38):
        room.say(room.crowd(OVER, f"rare {number}", 1 + number % 4))
    await room.read()
    await room.close()
    assert await room.told() == {(SHOP, OVER, "product", "common"): 10}
    assert await room.masses() == {(SHOP, OVER): 90}
    await room.as_expected()


async def test_a_closed_window_leaves_no_tag_and_no_sealed_text(room: Room) -> None:
    room.say(room.crowd(OVER, "common", 14) + room.crowd(OVER, "rare", 4))
    await room.read()
    await room.close()
    left = {
        name: await room.table(name) for name in ("contribution", "cell", "candidate", "dropped", "statistic")
    }
    assert left == {"contribution": 0, "cell": 0, "candidate": 0, "dropped": 0, "statistic": 1}


async def test_a_lane_closes_only_once_it_has_read_what_was_there_when_its_windows_were_over(
    room: Room,
) -> None:
    """What waits in the log when the day is over belongs to it, however late the lane comes to it."""
    cells = room.crowd(OVER, "p1", 20)
    lane = lane_of(SHOP, cells[0])
    room.say(cells[:6])
    await room.read()
    room.say(cells[6:])
    await room.close()
    assert await room.told() == {}
    await room.read()
    await room.turns()
    await _later(room, lane)
    assert await room.told() == {(SHOP, OVER, "product", "p1"): 20}


async def test_what_is_written_behind_the_cut_is_late_even_if_the_lane_has_not_closed(room: Room) -> None:
    """Published is a function of the log and the cut alone, not of how the lane happened to get on."""
    cells = room.crowd(OVER, "p1", 20)
    room.say(cells[:6])
    await room.read()
    room.say(cells[6:13])
    await room.ending.look()
    room.say(cells[13:])
    await room.read()
    await _later(room, lane_of(SHOP, cells[0]))
    assert await room.told() == {(SHOP, OVER, "product", "p1"): 10}
    assert (await room.tallies())[Reason.LATE] == 7
    await room.as_expected()


async def test_a_closed_window_takes_nothing_and_is_never_published_again(room: Room) -> None:
    room.say(room.crowd(OVER, "p1", 7))
    await room.read()
    await room.close()
    room.say(room.crowd(OVER, "p1", 30) + room.crowd(OVER, "p2", 30))
    await room.read()
    await room.close()
    assert await room.told() == {(SHOP, OVER, "product", "p1"): 5}
    assert await room.tallies() == {Reason.COUNTED: 7, Reason.LATE: 60}
    assert await room.table("contribution") == 0


async def test_a_published_number_stays_as_it_is(room: Room) -> None:
    """Even if it were forgotten that the window is closed: what was published is not published again."""
    room.say(room.crowd(OVER, "p1", 7))
    await room.read()
    await room.close()
    async with room.storage.transaction("0") as tx:
        if isinstance(room.store, PostgresClicks):
            await tx.connection.execute("DELETE FROM closing")
        else:
            tx.connection["closing"].clear()
    room.say(room.crowd(OVER, "p1", 30) + room.crowd(OVER, "p2", 30))
    await room.read()
    await room.close()
    assert await room.told() == {(SHOP, OVER, "product", "p1"): 5, (SHOP, OVER, "product", "p2"): 30}


async def test_a_closed_day_takes_none_of_its_hours(room: Room) -> None:
    """Its dropped mass is told: an hour that came behind it would be in no sum."""
    room.say(room.crowd(OVER, "p1", 7))
    await room.read()
    await room.close()
    room.say(room.crowd(hour_of(OVER, 7), "p1", 7, kind="search"))
    await room.read()
    assert (await room.tallies())[Reason.LATE] == 7


async def test_what_a_second_key_counts_is_not_added_to_the_first(room: Room) -> None:
    """After a loss of the key the same visitors have other tags: the largest number of one key is told."""
    second = Door(RULES.crowd, number=2)
    room.say(room.crowd(OVER, "p1", 4) + room.crowd(OVER, "p2", 6) + room.crowd(OVER, "p3", 12))
    others = [
        second.cell(SHOP, OVER, Kind.PRODUCT, text, f"v{number}")
        for text, visitors in (("p1", 4), ("p2", 17), ("p3", 8))
        for number in range(visitors)
    ]
    room.say(others, door=second)
    await room.read()
    await room.close()
    assert await room.told() == {(SHOP, OVER, "product", "p2"): 15, (SHOP, OVER, "product", "p3"): 10}
    await room.as_expected()


async def test_numbers_leave_in_pieces_and_each_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane with many cells closes in many transactions; a cell with many tags is swept in many."""
    monkeypatch.setattr(closing, "PIECE_CELLS", 3)
    monkeypatch.setattr(closing, "PIECE_TAGS", 10)
    texts = [f"p{number}" for number in range(60)]
    rng = random.Random(5)
    room.say(cell for text in texts for cell in room.crowd(OVER, text, rng.randrange(3, 25)))
    await room.read()
    assert await room.close() > 60
    await room.as_expected()
    assert len(await room.told()) > 40
    assert await room.table("contribution") == await room.table("cell") == 0


async def test_a_cut_that_broke_off_between_two_lanes_is_finished_and_moves_no_earlier_one(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after some lanes: they keep their offset, the others get theirs with the next look."""
    room.say(cell for number in range(40) for cell in room.crowd(OVER, f"p{number}", 8))
    await room.read()
    cut_off = room.store.cut_off

    async def dies(tx: Transaction, lane: int, *more: Any) -> int:
        if lane == 5:
            raise StoreUnavailable("killed")
        return await cut_off(tx, lane, *more)

    with monkeypatch.context() as dying:
        dying.setattr(room.store, "cut_off", dies)
        with pytest.raises(StoreUnavailable):
            await room.ending.look()
    first = await room.cuts()
    assert {lane for *_, lane in first} == set(range(5))
    room.say(cell for number in range(40) for cell in room.crowd(OVER, f"p{number}", 16))
    await room.read()
    await room.close()
    cuts = await room.cuts()
    assert len(cuts) == LANES and first.items() <= cuts.items()
    assert set((await room.told()).values()) == {5, 15}
    await room.as_expected()


async def test_no_window_is_forgotten_before_all_of_its_day_is_told(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was away for longer than closings are remembered still tells all of it, in however many pieces."""
    monkeypatch.setattr(ending, "REMEMBERED", timedelta(0))
    monkeypatch.setattr(closing, "PIECE_CELLS", 3)
    hour = hour_of(OVER, 3)
    room.say(cell for number in range(20) for cell in room.crowd(OVER, f"p{number}", 3))
    room.say(cell for number in range(20) for cell in room.crowd(hour, f"word {number}", 5, kind="search"))
    room.say(cell for number in range(20) for cell in room.crowd(hour, f"rare {number}", 3, kind="search"))
    await room.read()
    for lane in (*range(LANES), 0):
        await room.ending.look()
        while str(lane) in await room.storage.waiting() and await room.turn.handle_due(str(lane)):
            await room.ending.look()
    assert await room.told() == {(SHOP, hour, "search", f"word {number}"): 5 for number in range(20)}
    assert await room.masses() == {(SHOP, OVER): 100}
    assert await room.table("closing") == 0


async def test_an_operator_closes_a_day_of_one_shop_with_its_hours_before_it_is_over(room: Room) -> None:
    for shop in (SHOP, "shop-b"):
        room.say(room.crowd(OPEN, "p1", 5, shop), shop)
        room.say(room.crowd(hour_of(OPEN, 0), "word", 5, shop, "search"), shop)
    await room.read()
    await room.close()
    assert {shop for shop, *_ in await room.told()} == ({SHOP, "shop-b"} if now().hour else set())
    await room.ask(Span(SHOP, OPEN))
    await room.close()
    assert (SHOP, OPEN, "product", "p1") in await room.told()
    assert (SHOP, hour_of(OPEN, 0), "search", "word") in await room.told()
    assert ("shop-b", OPEN, "product", "p1") not in await room.told()
    assert await room.masses() == {(SHOP, OPEN): 0}


async def test_what_no_sound_gateway_writes_is_dropped_and_counted(room: Room) -> None:
    """Every cell ends in one counted way, and so does every record."""
    good = room.crowd(OVER, "p1", 5)
    lane = lane_of(SHOP, good[0])
    old = [each.model_copy(update={"window": "2024-02-29"}) for each in good]
    never = [each.model_copy(update={"window": window}) for each, window in zip(good, (
        "2026-02-30", "9999-01-01", "2026-13-01", "2026-01-01T25", "0000-01-01"), strict=True)]  # fmt: skip
    for cells in (good, good, old, never):
        ((_, event),) = room.door.records(SHOP, cells)
        room.put(lane, event)
        room.put((lane + 1) % LANES, event)
    await room.read()
    assert await room.tallies() == {
        Reason.COUNTED: 5, Reason.REPEATED: 5, Reason.LATE: 5, Reason.IMPLAUSIBLE: 25,
    }  # fmt: skip
    assert await room.storage.endings() == {("clicks", CONSUMED): 7, ("clicks", REPEATED): 1}


async def test_a_kind_that_is_left_out_is_dropped_and_counted(room: Room) -> None:
    room.turn._worker.handler._rules = replace(RULES, kinds=frozenset({Kind.SEARCH}))  # type: ignore[attr-defined]
    room.say(room.crowd(OVER, "p1", 5) + room.crowd(OVER, "word", 5, kind="search"))
    await room.read()
    await room.close()
    assert await room.told() == {(SHOP, OVER, "search", "word"): 5}
    assert await room.tallies() == {Reason.COUNTED: 5, Reason.UNPUBLISHED: 5}


async def test_a_window_is_open_until_its_grace_is_over(room: Room) -> None:
    patient = Room(room.storage, room.store, replace(RULES, grace=timedelta(days=2)))
    patient.broker = room.broker
    room.say(room.crowd(OVER, "p1", 5))
    await room.read()
    assert not await patient.ending.look()
    assert await room.ending.look()


async def test_what_is_told_of_a_day_waits_for_all_its_hours_and_lanes(room: Room) -> None:
    """One text may be in two lanes, under two keys: the first lane to close does not know the larger number."""
    hours = [hour_of(OVER, hour) for hour in (3, 17)]
    texts = [(hour, f"word {number}") for hour in hours for number in range(20)]
    room.say(cell for hour, text in texts for cell in room.crowd(hour, text, 3, kind="search"))
    room.say(cell for number in range(20) for cell in room.crowd(OVER, f"p{number}", 5))
    await room.read()
    await room.ending.look()
    for lane in range(LANES - 1):
        await room.turns(lane)
        assert await room.outgoing() == []
    await room.turns()
    assert len(await room.told()) == 20
    assert await room.masses() == {(SHOP, OVER): 100}


async def test_a_crowd_that_does_not_tell_its_text_is_dropped(room: Room) -> None:
    """Sealed for a larger crowd, or not by a gateway: the number of visitors is no reason to publish it."""
    larger = Door(crowd=20)
    room.say([larger.cell(SHOP, OVER, Kind.PRODUCT, "p1", f"v{n}") for n in range(19)], door=larger)
    room.say(room.crowd(OVER, "two\tparts", 66))
    await room.read()
    await room.close()
    assert await room.told() == {}
    assert await room.masses() == {(SHOP, OVER): 80}


async def test_what_was_published_is_deleted_by_its_window(room: Room) -> None:
    """What had ended by a moment goes, to the hour, and some at a time; a day stays until all of it has ended."""
    days, hours = ("2026-03-10", "2026-03-11"), ("2026-03-10T23", "2026-03-11T04", "2026-03-11T05")
    async with room.storage.transaction("0") as tx:
        for window in days + hours:
            numbers = [Number(Kind.PRODUCT, "p1", 10)]
            await room.store.propose(tx, Span(SHOP, window), numbers)
            await room.store.publish(tx, Span(SHOP, window), numbers)
        await room.store.publish_masses(tx, {Span(SHOP, day): 100 for day in days})
    for before, limit, left, days_left in (
        (datetime(2026, 3, 10, 23, 59, tzinfo=UTC), 9, {*days, *hours}, {*days}),
        (datetime(2026, 3, 11, 5, 30, tzinfo=UTC), 1, None, {days[1]}),
        (datetime(2026, 3, 11, 5, 30, tzinfo=UTC), 9, {days[1], hours[2]}, {days[1]}),
        (datetime(2026, 3, 12, tzinfo=UTC), 9, set(), set()),
    ):
        async with room.storage.transaction("0") as tx:
            await room.store.expire(tx, before, limit)
        windows = await _kept(room, "statistic")
        assert windows == left if left is not None else len(windows) == 4
        assert await _kept(room, "mass") == days_left


async def _kept(room: Room, table: str) -> set[str]:
    """Return the windows of which a table of published numbers has any."""
    async with room.storage.transaction("0") as tx:
        if isinstance(room.store, PostgresClicks):
            column = "day" if table == "mass" else '"window"'
            return {row[0] for row in await tx.connection.fetch(f"SELECT {column} FROM {table}")}
        return {key[1] for key in tx.connection[table]}


async def test_random_visits_in_random_batches_come_out_as_computed_apart(room: Room) -> None:
    rng = random.Random(11)
    windows = [OVER, *(hour_of(OVER, hour) for hour in range(3))]
    for _ in range(6):
        cells = [
            room.door.cell(
                SHOP, rng.choice(windows), Kind.PRODUCT, f"p{rng.randrange(9)}", f"v{rng.randrange(30)}"
            )
            for _ in range(120)
        ]
        room.say(cells, most=7)
        if rng.random() < 0.5:
            await room.read(most=3)
    await room.ending.look()
    await room.read(most=4)
    for lane in range(LANES):
        await _later(room, lane)
    await room.turns()
    await room.as_expected()
    assert await room.masses() and await room.told()


async def _later(room: Room, lane: int) -> None:
    """Let the lane look again: the reminder of one that had to wait is not due at once."""
    async with room.storage.transaction(str(lane)) as tx:
        await tx.schedule([reminder(lane, tx)])
    await room.turns()
