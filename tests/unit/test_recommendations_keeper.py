"""What is remembered, and when it is told: saved before done, told once, told again only when it has changed."""

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from schemas.clicks import Kind
from schemas.envelope import Envelope, read_envelope
from schemas.statistics import Counted, MassDropped
from schemas.topics import LANES, RECOMMENDATIONS, RECOMMENDATIONS_ROWS, STATISTICS
from services.kernel.broker.interface import Message, Record
from services.kernel.broker.memory import MemoryBroker
from services.recommendations import keeper
from services.recommendations.keeper import PATIENCE, Keeper
from services.recommendations.rows import lane_of_shop, row_of

SHOP, NEIGHBOUR = "lamps", "tables"
QUIET_SECONDS = 2.0
ALL_LANES = frozenset(range(LANES))


@dataclass
class Clock:
    """Moves when told."""

    moment: datetime = datetime(2026, 11, 23, 10, tzinfo=UTC)
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    at_wait: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at_wait()
        await asyncio.sleep(0)


class Room:
    """A keeper over a table that is a dict and a broker that is in memory."""

    def __init__(self, rows: dict[bytes, bytes] | None = None, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker({RECOMMENDATIONS.name: LANES, RECOMMENDATIONS_ROWS.name: LANES})
        self.clock = Clock()
        self.rows = {} if rows is None else rows
        self.keeper = Keeper(
            self.rows, self.broker.producer(), self.clock, quiet_seconds=QUIET_SECONDS, policy="1",
            ours=lambda: self.ours,
        )  # fmt: skip
        self.ours = True
        self.done: list[int] = []
        self.offset = 0

    def take(self, event: Counted | MassDropped | bytes, *, lane: int | None = None, kind: str = "") -> None:
        value = event if isinstance(event, bytes) else event.model_dump_json().encode()
        envelope = Envelope(str(uuid.uuid4()), kind or Counted.type, "/workers/clickstream")
        if isinstance(event, MassDropped):
            envelope = envelope._replace(type=MassDropped.type)
        lane = lane_of_shop(SHOP) if lane is None else lane
        offset, self.offset = self.offset, self.offset + 1
        record = Record(STATISTICS.name, lane, offset, SHOP.encode(), value, envelope.headers())
        self.keeper.take(record, lambda: self.done.append(offset))

    async def rest(self, seconds: float = QUIET_SECONDS) -> list[dict]:
        """Save, let time pass, and return what is told then."""
        before = len(self.told())
        await self.keeper.save()
        self.clock.seconds += seconds
        await self.keeper.tell()
        await self.keeper.save()
        return self.told()[before:]

    async def later(self, days: int) -> list[dict]:
        """Let days pass, and return what is told then."""
        self.clock.moment += timedelta(days=days)
        await self.keeper.tell()
        return await self.rest()

    def told(self) -> list[dict]:
        return [json.loads(record.value) for record in self.records(RECOMMENDATIONS.name)]

    def ids(self) -> list[str]:
        return [read_envelope(record.headers).id for record in self.records(RECOMMENDATIONS.name)]

    def records(self, topic: str) -> list[Record]:
        found = [log.records for (name, _), log in sorted(self.broker.logs.items()) if name == topic]
        return [record for records in found for record in records if record is not None]

    def replayed(self) -> dict[bytes, bytes]:
        """Return the table that the changelog makes."""
        rows = {record.key: record.value for record in self.records(RECOMMENDATIONS_ROWS.name)}
        return {key: value for key, value in rows.items() if value is not None}


def seen(cell: str, count: int = 10, kind: Kind = Kind.PRODUCT, window: str = "2026-11-23") -> Counted:
    return Counted(storefront=SHOP, kind=kind, window=window, cell=cell, count=count)


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_record_is_done_when_kafka_has_what_it_changed(room):
    """Not when it was read: Faust's own changelog is a queue that a commit overtakes."""
    room.take(seen("lamp"))
    assert room.done == [] and room.records(RECOMMENDATIONS_ROWS.name) == []
    await room.keeper.save()
    assert room.done == [0]
    (row,) = room.records(RECOMMENDATIONS_ROWS.name)
    assert row.value == b"10" and row_of(row.key).number == (Kind.PRODUCT, "2026-11-23", "lamp")
    assert row.partition == lane_of_shop(SHOP)


async def test_nothing_is_done_while_kafka_is_away(room):
    """It is tried again, and nothing that came meanwhile is lost."""
    room.take(seen("lamp"))
    room.broker.away = True

    def back_after_three() -> None:
        assert room.done == []
        room.broker.away = len(room.clock.waits) < 3

    room.clock.at_wait = back_after_three
    await room.keeper.save()
    assert room.done == [0] and len(room.clock.waits) == 3 and room.replayed() == room.rows


async def test_a_save_that_is_cancelled_leaves_its_records_undone(room):
    """They are read again by whoever comes next."""
    room.take(seen("lamp"))
    room.broker.away = True
    saving = asyncio.create_task(room.keeper.save())
    room.clock.at_wait = saving.cancel
    await asyncio.wait([saving], timeout=5)
    assert saving.cancelled() and room.done == []


async def test_lists_are_told_when_a_shop_has_been_quiet(room):
    """Not per record, and in the words of the contract."""
    room.take(seen("lamp", 20))
    room.take(seen("chair", 30))
    assert await room.rest(QUIET_SECONDS / 2) == []
    (told,) = await room.rest(QUIET_SECONDS / 2)
    assert told == {
        "storefront": SHOP, "listing": "hot", "through": "2026-11-23",
        "items": [{"cell": "chair", "score": 30.0}, {"cell": "lamp", "score": 20.0}],
    }  # fmt: skip
    (record,) = room.records(RECOMMENDATIONS.name)
    envelope = read_envelope(record.headers)
    assert record.key == SHOP.encode() and envelope.source == "/workers/recommendations"
    assert envelope.type == "lethe.recommendations.recommended.v1" and envelope.time == room.clock.moment
    assert envelope.subject is None and envelope.policy == "1"


async def test_a_shop_that_is_never_quiet_is_told_of_all_the_same(room):
    """Debouncing must not become silence."""
    told = []
    for second in range(int(PATIENCE * QUIET_SECONDS) + 1):
        room.take(seen("lamp", 10 * (second + 1)))
        told += await room.rest(1.0)
    assert len(told) == 1


async def test_an_unchanged_list_is_not_told_again(room):
    """Whether its numbers were said again, are of no list, or change another list."""
    room.take(seen("lamp"))
    assert len(await room.rest()) == 1
    room.take(seen("lamp"))
    room.take(seen("home\tcart", kind=Kind.TRANSITION))
    room.take(MassDropped(storefront=SHOP, day="2026-11-23", mass=70))
    assert await room.rest() == []
    room.take(seen("lamp", kind=Kind.SEARCH))
    assert [told["listing"] for told in await room.rest()] == ["trending"]
    assert room.done == [0, 1, 2, 3, 4]


async def test_a_list_that_is_no_more_is_told_as_empty_once(room):
    """When the last window that made it is too old; its rows end, in the changelog too."""
    room.take(seen("lamp", window="2026-10-25"))
    room.take(seen("a\tb", kind=Kind.PAIR))
    assert len(await room.rest()) == 3
    (told,) = await room.later(2)
    assert told["listing"] == "hot" and told["items"] == []
    assert {(told["of"], len(told["items"])) for told in await room.later(40)} == {("a", 0), ("b", 0)}
    assert await room.later(1) == []
    assert room.rows == {} == room.replayed()


async def test_lists_of_numbers_that_aged_while_nobody_ran_are_withdrawn(room):
    """All that is left may be that something was told."""
    room.take(seen("lamp"))
    await room.rest()
    left = {key: value for key, value in room.replayed().items() if row_of(key).told}
    later = Room(left, room.broker)
    await later.keeper.recover(ALL_LANES)
    (told,) = await later.rest()
    assert told["items"] == [] and later.rows == {}


async def test_who_starts_again_tells_nothing_that_was_told(room):
    """The table remembers what was told, too."""
    room.take(seen("lamp"))
    await room.rest()
    again = Room(room.replayed(), room.broker)
    await again.keeper.recover(ALL_LANES)
    assert await again.rest() == []
    again.take(seen("lamp", 20))
    assert len(await again.rest()) == 1


async def test_numbers_that_were_saved_and_not_told_are_told_after_a_start(room):
    """A process killed between the two has lost nothing; killed after telling, it says the same with the same id."""
    room.take(seen("lamp"))
    await room.keeper.save()
    saved = room.replayed()
    first = Room(dict(saved), room.broker)
    await first.keeper.recover(ALL_LANES)
    assert len(await first.rest()) == 1
    second = Room(dict(saved), room.broker)
    await second.keeper.recover(ALL_LANES)
    assert len(await second.rest()) == 1
    one, other = room.ids()
    assert one == other


async def test_a_list_that_comes_back_is_another_event(room):
    """A, B, A: whoever remembers ids must not take the third for the first."""
    for count in (10, 20, 10):
        room.take(seen("lamp", count))
        await room.rest()
    assert len(room.told()) == len(set(room.ids())) == 3


async def test_only_ones_own_lanes_are_known(room):
    """What Faust keeps of a lane that went elsewhere is neither told nor kept."""
    room.take(seen("lamp"))
    await room.keeper.save()
    others = Room(dict(room.rows), room.broker)
    await others.keeper.recover(ALL_LANES - {lane_of_shop(SHOP)})
    assert await others.rest() == [] and others.rows == {}
    assert room.replayed() == room.rows != {}


async def test_lanes_that_are_taken_away_are_told_no_more(room):
    """From the moment of the rebalance on, and again once they are recovered."""
    room.take(seen("lamp"))
    await room.keeper.save()
    room.ours = False
    assert await room.rest() == []
    room.ours = True
    await room.keeper.recover(ALL_LANES)
    assert len(await room.rest()) == 1


async def test_a_rebalance_stops_what_is_being_told(room, monkeypatch):
    """What follows would come behind what the new owner tells; what was sent last counts as never told."""
    monkeypatch.setattr(keeper, "MOST_SENT", 2)
    for number in range(5):
        room.take(seen(f"p{number}\tq{number}", kind=Kind.PAIR))
    neighbour = seen("lamp").model_copy(update={"storefront": NEIGHBOUR})
    room.take(neighbour, lane=lane_of_shop(NEIGHBOUR))
    await room.keeper.save()
    known = dict(room.rows)
    producer = room.keeper._producer
    send = producer.send

    async def revoked_after(messages: list[Message]) -> None:
        await send(messages)
        room.ours = False

    monkeypatch.setattr(producer, "send", revoked_after)
    assert len(await room.rest()) == 2
    assert room.rows == known


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        (seen("lamp"), {"lane": (lane_of_shop(SHOP) + 1) % LANES}),
        (seen("lamp", window="2026-11-25"), {}),
        (seen("lamp", window="2026-02-30"), {}),
        (b"{", {}),
        (b'{"storefront":"lamps","kind":"product","window":"2026-11-23","cell":"x","count":"10"}', {}),
        (seen("lamp"), {"kind": "lethe.statistics.other.v1"}),
    ],
    ids=["lane", "future", "no-such-day", "no-json", "text-for-number", "type"],
)
async def test_what_breaks_its_contract_is_passed_by(room, event, arguments):
    """Never a stall: it is done like all others, and changes nothing."""
    room.take(event, **arguments)
    room.take(seen("chair"))
    assert [told["items"] for told in await room.rest()] == [[{"cell": "chair", "score": 10.0}]]
    assert room.done == [0, 1] and len(room.rows) == 2


async def test_what_is_older_than_the_lists_look_back_is_not_kept(room):
    """Read from the earliest offset on, the log may hold some days more."""
    room.take(seen("lamp", window="2026-10-23"))
    assert await room.rest() == [] and room.rows == {} and room.done == [0]


async def test_the_same_statistics_make_the_same_lists_in_another_order(room):
    """Rebuilt from the earliest offset, by whoever, however cut into pieces."""
    said = [seen(f"product {n}", 10 * (n % 3 + 1), window=f"2026-11-{20 + n % 4}") for n in range(12)]
    said += [seen(f"product {n}\tproduct {n + 1}", kind=Kind.PAIR) for n in range(11)]
    for event in said:
        room.take(event)
    await room.rest()
    other = Room()
    for event in [*reversed(said), *said[:7]]:
        other.take(event)
        if len(other.done) % 5 == 0:
            await other.rest()
    await other.rest()
    assert other.rows == room.rows
    last = {(told["listing"], told.get("of")): told["items"] for told in other.told()}
    assert last == {(told["listing"], told.get("of")): told["items"] for told in room.told()}
