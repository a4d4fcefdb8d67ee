"""From pages with addresses to a crowd's cells, and every way in which that can fail (C3, R4)."""

import asyncio
import gc
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from schemas.clicks import Cell, Kind
from schemas.envelope import read_envelope
from schemas.topics import CLICKS
from services.gateway.clicks import anonymiser as module
from services.gateway.clicks import contribution, crowd, departures
from services.gateway.clicks.anonymiser import Mixing
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.gateway.refusals import Refusal
from services.kernel.broker.partition import lane_of_cell
from services.kernel.clock import SystemClock
from services.kernel.errors import ConfigurationError
from services.kernel.sealing.crowds import opened
from services.kernel.telemetry import metrics
from tests.unit.clicks_room import NOON, Room


@pytest.fixture
async def room() -> Room:
    made = Room()
    await made.key()
    return made


def dropped(reason: str) -> float:
    return metrics.CELLS_DROPPED.labels(reason=reason)._value.get()


class Lost:
    """How many contributions were dropped since."""

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._before = dropped(reason)

    @property
    def count(self) -> float:
        return dropped(self._reason) - self._before


def texts(cells: list[Cell], least: int = 5) -> Counter[tuple[Kind, str]]:
    """Open what crowds share; return how many different tags each text has."""
    by_cell: dict[tuple[Kind, str, str], dict[str, str]] = defaultdict(dict)
    for cell in cells:
        by_cell[cell.kind, cell.id, cell.sealed][cell.tag] = cell.share
    return Counter(
        {
            (kind, opened(name, sealed, shares, least)): len(shares)
            for (kind, name, sealed), shares in by_cell.items()
            if len(shares) >= least
        }
    )


async def test_a_crowd_leaves_when_the_hour_has_ended(room: Room) -> None:
    for visitor in range(5):
        room.visit(visitor, Page("/"), Page("/p/X-1", "/"))
    assert await room.leave(3_599) == []
    assert await room.leave(1) != []
    assert texts(room.cells()) == {
        (Kind.TRANSITION, "(entry)\t/"): 5,
        (Kind.TRANSITION, "/\t/p/{item}"): 5,
        (Kind.PRODUCT, "X-1"): 5,
    }


async def test_less_than_a_crowd_never_leaves(room: Room) -> None:
    lost = Lost("no-crowd")
    for visitor in range(4):
        room.visit(visitor, Page("/"), Page("/p/X-1", "/"))
    assert await room.leave() == [] and lost.count == 12
    room.visit(9)
    assert await room.leave() == [] and lost.count == 13
    for visitor in range(5):
        room.visit(visitor)
    assert len(await room.leave()) == 1


async def test_hours_and_shops_do_not_mix(room: Room) -> None:
    """Or a crowd of one shop would hide nobody of another, and an hour would say when."""
    stall = room.site.model_copy(update={"storefront": "stall"})
    for visitor in range(3):
        room.visit(visitor)
        room.visit(visitor, site=stall)
    room.clock.seconds += 3_600
    for visitor in range(3, 6):
        room.visit(visitor)
    assert await room.leave() == []


async def test_others_have_their_turn_between_two_rooms(room: Room) -> None:
    """The hour of all shops ends at once; a page that comes meanwhile may end its shop's room by itself."""
    stall = room.site.model_copy(update={"storefront": "stall"})
    for visitor in range(5):
        room.visit(visitor)
        room.visit(visitor, site=stall)
    ended = []

    async def see_a_page() -> None:
        ended.append(2 - len(room.anonymiser._rooms))
        room.visit(9, site=stall)

    page = asyncio.create_task(see_a_page())
    left = await room.leave()
    await page
    assert ended == [1]
    assert {event.storefront for event in left} == {"shop", "stall"} and len(room.cells()) == 10
    assert len(room.waiting()) == 1


async def test_records_say_the_hour_and_nothing_exact(room: Room) -> None:
    room.clock.seconds += 1_234.5
    for visitor in range(50):
        room.visit(visitor, Page(f"/p/X-{visitor}"), Page("/p/X-1"))
    await room.leave()
    for message in room.kafka.messages:
        assert message.topic == CLICKS.name and message.key == b""
        assert message.timestamp_ms == int(NOON.timestamp()) * 1_000
        envelope = read_envelope(list(message.headers))
        assert envelope.time == NOON and envelope.subject is None and envelope.traceparent is None
        assert {name for name, _ in message.headers} == {
            "ce_id", "ce_specversion", "ce_type", "ce_source", "ce_time", "ce_policyversion", "content-type"
        }  # fmt: skip
    ids = [dict(message.headers)["ce_id"] for message in room.kafka.messages]
    assert len(set(ids)) == len(ids) > 1


async def test_every_cell_is_in_its_lane_whoever_contributes(room: Room) -> None:
    other = room.another()
    await other._key.ask()
    for visitor in range(6):
        room.visit(visitor, *[Page(f"/p/X-{number}") for number in range(300)])
        room.visit(visitor, *[Page(f"/p/X-{number}") for number in range(300)], of=other)
    await room.leave()
    await other.leave()
    lanes = defaultdict(set)
    for message, event in zip(room.kafka.messages, room.events(), strict=True):
        for cell in event.cells:
            lanes[cell.id].add(message.partition)
            assert message.partition == lane_of_cell("shop", cell.id)
    assert all(len(each) == 1 for each in lanes.values())
    assert len(set.union(*lanes.values())) == CLICKS.partitions
    # What both gateways saw of one visitor is one contribution.
    assert set(texts(room.cells()).values()) == {6}


async def test_no_key_no_click(room: Room) -> None:
    """Refused, so that the sender knows, and counted."""
    lost = Lost("no-key")
    with pytest.raises(Refusal) as refused:
        room.visit(1, Page("/"), Page("/"), of=room.another())
    assert refused.value.status == 503 and lost.count == 2
    room.clock.seconds += 12 * 3_600
    assert not room.anonymiser.ready
    with pytest.raises(Refusal):
        room.visit(1)
    assert lost.count == 3


async def test_a_key_that_dies_leaves_the_crowd_of_its_last_hour_whole(room: Room) -> None:
    """Cells are made when the page is taken: after midnight nobody needs the key that is gone."""
    room.clock.seconds += 11 * 3_600 + 3_590
    for visitor in range(5):
        room.visit(visitor)
    await room.leave(20)
    assert texts(room.cells()) == {(Kind.TRANSITION, "(entry)\t/"): 5}
    assert {cell.window for cell in room.cells()} == {"2026-11-23"}


async def test_another_day_has_another_key_and_nothing_in_common(room: Room) -> None:
    for visitor in range(5):
        room.visit(visitor)
    first = await room.leave(12 * 3_600)
    await room.key()
    for visitor in range(5):
        room.visit(visitor)
    second = (await room.leave())[len(first) :]
    assert first[0].key < second[0].key
    before, after = ({cell.tag for event in events for cell in event.cells} for events in (first, second))
    assert before.isdisjoint(after) and len(before) == len(after) == 5


async def test_a_key_that_was_lost_shares_no_room_with_the_next(room: Room) -> None:
    """Under two keys one visitor looks like two: together they would make a crowd of too few."""
    for visitor in range(3):
        room.visit(visitor)
    room.vault.lose_tag_key()
    await room.key()
    for visitor in range(3):
        room.visit(visitor)
    assert await room.leave() == []


async def test_windows_are_of_the_hour_or_of_the_day() -> None:
    room = Room(Mixing(crowd=5, hourly=frozenset({Kind.PRODUCT})))
    await room.key()
    for visitor in range(5):
        room.visit(visitor, Page("/p/X-1"))
    await room.leave()
    assert {(cell.kind, cell.window) for cell in room.cells()} == {
        (Kind.PRODUCT, "2026-11-23T12"),
        (Kind.TRANSITION, "2026-11-23"),
    }


async def test_what_kafka_does_not_confirm_is_sent_again_as_it_is(room: Room) -> None:
    for visitor in range(5):
        room.visit(visitor, *[Page(f"/p/X-{number}") for number in range(20)])
    room.kafka.away = True
    assert await room.leave() == []
    for visitor in range(5):
        room.visit(visitor)
    await room.leave()
    room.kafka.away = False
    await room.leave(0)
    hours = defaultdict(list)
    for message in room.kafka.messages:
        hours[message.partition].append(dict(message.headers)["ce_time"])
    assert len(set().union(*hours.values())) == 2
    assert all(each == sorted(each) for each in hours.values())
    assert sum(texts(room.cells()).values()) == 5 * 22


async def test_who_comes_back_the_same_day_leaves_nothing_twice(room: Room) -> None:
    """The hours of a day's tag would be a visitor's mark: two cells with the same ones were his (docs/adr/0069)."""
    for _ in range(3):
        for visitor in range(5):
            room.visit(visitor)
        await room.leave()
    assert sum(texts(room.cells()).values()) == 5
    assert len(room.cells()) == 5


async def test_a_cell_has_another_id_in_another_window() -> None:
    """Nobody follows a rare cell from one window to the next, and no crowd gathers over several."""
    room = Room(Mixing(crowd=5, hourly=frozenset(Kind)))
    await room.key()
    for _ in range(2):
        for visitor in range(5):
            room.visit(visitor)
        await room.leave()
    ids = {cell.window: cell.id for cell in room.cells()}
    assert len(ids) == 2 and len(set(ids.values())) == 2


async def test_what_waits_for_the_end_of_its_hour_is_not_taken_again_in_the_next(room: Room) -> None:
    """The next hour begins before anybody looked whether the last one is over."""
    for visitor in range(5):
        room.visit(visitor)
    room.clock.seconds += 3_600
    for visitor in range(5):
        room.visit(visitor)
    await room.leave(0)
    await room.leave()
    assert len(room.cells()) == 5


async def test_what_was_dropped_may_come_again(room: Room) -> None:
    for visitor in range(4):
        room.visit(visitor)
    await room.leave()
    for visitor in range(5):
        room.visit(visitor)
    await room.leave()
    assert len(room.cells()) == 5


async def test_a_kafka_that_stays_away_costs_a_bounded_number(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "MOST_WAITING", 12)
    lost = Lost("kafka-away")
    room.kafka.away = True
    for visitor in range(20):
        room.visit(visitor)
        if visitor % 5 == 4:
            await room.leave()
    assert lost.count == 10
    room.kafka.away = False
    await room.leave(0)
    assert len(room.cells()) == 10


async def test_a_room_that_is_full_drops_and_counts(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 14)
    lost = Lost("full")
    for visitor in range(10):
        room.visit(visitor)
    assert lost.count == 3
    await room.leave()
    assert len(room.cells()) == 7
    for visitor in range(7):
        room.visit(visitor)
    assert lost.count == 3


async def test_a_crowd_that_grows_large_leaves_before_the_hour(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy shop fills any memory in an hour; if so many came for so long that nobody chose them."""
    monkeypatch.setattr(module, "MOST_WAITING", 20)
    monkeypatch.setattr(module, "EARLY_NETWORKS", 6)
    for visitor in range(5):
        room.visit(visitor)
    assert await room.leave(600) == []
    room.visit(5)
    assert len(await room.leave(1)) == 1
    assert len(room.cells()) == 6
    for visitor in range(6, 14):
        room.visit(visitor)
    assert await room.leave(599) == room.events() and len(room.cells()) == 6
    await room.leave(1)
    assert len(room.cells()) == 14


async def test_a_crowd_that_is_not_large_waits_for_the_hour(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EARLY_NETWORKS", 6)
    for visitor in range(100):
        room.visit(visitor)
    assert await room.leave(3_599) == []


async def test_who_left_early_has_no_second_share_of_the_hour(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a visitor nor a network."""
    monkeypatch.setattr(module, "MOST_WAITING", 24)
    monkeypatch.setattr(module, "EARLY_NETWORKS", 6)
    monkeypatch.setattr(crowd, "MOST_PER_VISITOR", 2)
    monkeypatch.setattr(crowd, "MOST_PER_NETWORK", 3)
    for visitor in range(6):
        room.visit(visitor)
    assert len(await room.leave(600)) == 1
    greedy, crowded = Lost("visitor-full"), Lost("network-full")
    room.visit(0, Page("/p/X-1"))
    assert greedy.count == 1
    room.anonymiser.take(room.site, "10.0.0.0", "Another/1", [Page("/"), Page("/p/X-1")])
    assert crowded.count == 2
    for visitor in range(1, 6):
        room.visit(visitor, Page("/", "/p/X-1"))
    await room.leave()
    assert len(room.cells()) == 13
    # With the next hour begins another share.
    room.visit(0, Page("/p/X-2"))
    assert greedy.count == 1


async def flood(room: Room, wave: int, address: str = "203.0.113.7", shop: Site | None = None) -> None:
    """Search for 495 words with each of ten user agents."""
    for agent in range(10):
        pages = [Page("", term=f"forged word {number}") for number in range(495)]
        room.anonymiser.take(shop or room.site, address, f"Forged/{wave}.{agent}", pages)


async def test_nobody_makes_a_shop_leave_whenever_he_wants(room: Room) -> None:
    """Between two floods a visit would lie on the topic beside forgeries only (docs/adr/0061)."""
    for visitor in range(30):
        room.visit(visitor)
    lost = Lost("network-full")
    await flood(room, 1)
    assert await room.leave(1_200) == []
    room.visit(99)
    await flood(room, 2)
    assert await room.leave(1_200) == []
    assert lost.count == 2 * 10 * 495 - 2_000
    await room.leave(1_200)
    assert texts(room.cells())[Kind.TRANSITION, "(entry)\t/"] == 31


async def test_browsers_behind_one_address_are_no_crowd(room: Room) -> None:
    """Or one with a list of user agents would let the hour of a lone visitor leave, and know whose it is."""
    lost = Lost("no-crowd")
    room.visit(1)
    for agent in range(20):
        room.anonymiser.take(room.site, "203.0.113.7", f"Forged/{agent}", [Page("/")])
    assert await room.leave() == [] and lost.count == 21


async def test_a_flood_of_three_shops_leaves_room_for_all_others(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From however many addresses: a shop takes half of what the others leave."""
    monkeypatch.setattr(module, "MOST_WAITING", 2_000)
    lost = Lost("full")
    for name in ("shop-a", "shop-b", "shop-c"):
        flooded = room.site.model_copy(update={"storefront": name})
        for visitor in range(200):
            room.visit(
                visitor, *[Page("", term=f"forged word {number}") for number in range(10)], site=flooded
            )
    assert lost.count == 3 * 200 * 10 - 1_000 - 500 - 250
    for visitor in range(100):
        room.visit(visitor)
    await room.leave()
    assert sum(len(event.cells) for event in room.events() if event.storefront == "shop") == 100


async def test_one_address_never_blinds_a_shop(room: Room) -> None:
    full, crowded = Lost("full"), Lost("network-full")
    for name in ("shop-a", "shop-b", "shop-c"):
        await flood(room, 1, shop=room.site.model_copy(update={"storefront": name}))
    for visitor in range(30):
        room.visit(visitor)
    await room.leave()
    assert full.count == 0 and crowded.count == 3 * (10 * 495 - 2_000)
    assert {event.storefront for event in room.events()} == {"shop"}


async def test_how_many_wait_is_told_in_steps_and_by_the_minute(room: Room) -> None:
    """In a quiet shop it would say of each page in which second it was seen."""

    def told() -> float:
        return metrics.CELLS_WAITING.labels(reason="crowd")._value.get()

    await room.leave(0)
    for visitor in range(299):
        room.visit(visitor)
    await room.leave(59)
    assert told() == 0
    await room.leave(1)
    assert told() == 200
    room.visit(300)
    await room.leave(30)
    assert told() == 200
    await room.leave(30)
    assert told() == 300


async def test_a_lane_that_kafka_cannot_take_holds_no_other(room: Room) -> None:
    for visitor in range(5):
        room.visit(visitor, *[Page("", term=f"lamp {number}") for number in range(100)])
    await room.leave()
    everywhere = {message.partition for message in room.kafka.messages}
    sick = room.kafka.sick = min(everywhere)
    room.kafka.messages.clear()
    for visitor in range(5):
        room.visit(visitor, *[Page("", term=f"shoe {number}") for number in range(100)])
    for _ in range(2):
        await room.leave()
    assert {message.partition for message in room.kafka.messages} == everywhere - {sick}
    assert 0 < room.anonymiser._departures.waiting < 500
    room.kafka.sick = None
    await room.leave(0)
    assert room.anonymiser._departures.waiting == 0
    assert len(room.cells()) == 500


async def test_who_comes_after_a_crowd_left_early_waits_for_a_crowd_as_long() -> None:
    """Or the next five would leave at once, and everybody knew that it was they."""
    room = Room(Mixing(crowd=5, flush_seconds=10))
    await room.key()
    for visitor in range(5):
        room.visit(visitor)
    assert len(await room.leave(10)) == 1
    for visitor in range(5, 10):
        room.visit(visitor)
    assert len(await room.leave(9)) == 1
    assert len(await room.leave(1)) == 2


async def test_no_number_of_searches_fills_the_memory(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed cells are kept for those who do the same; what was not kept is the same when it is made again."""
    monkeypatch.setattr(contribution, "MOST_KEPT", 3)
    kept = room.anonymiser._cells
    for visitor in range(5):
        for search in range(4):
            room.visit(visitor, Page("/", term=f"lamp {search}"))
            assert 0 < len(kept) <= 3
    await room.leave()
    assert texts(room.cells())[Kind.SEARCH, "lamp 1"] == 5
    assert len(kept) == 0


async def test_who_stops_lets_a_crowd_leave_and_drops_the_rest(room: Room) -> None:
    stall = room.site.model_copy(update={"storefront": "stall"})
    lost = Lost("no-crowd")
    for visitor in range(5):
        room.visit(visitor)
    room.visit(1, site=stall)
    await room.anonymiser.stop()
    assert len(room.cells()) == 5 and lost.count == 1
    assert not room.anonymiser.ready


async def test_who_stops_while_kafka_is_away_says_what_is_lost(room: Room) -> None:
    lost = Lost("kafka-away")
    for visitor in range(5):
        room.visit(visitor)
    room.kafka.away = True
    await room.anonymiser.stop()
    assert lost.count == 5


async def test_who_stops_loses_one_sick_lane_and_no_other(room: Room) -> None:
    """Wherever it stands in the row: all others are sent once it was refused."""
    for visitor in range(5):
        room.visit(visitor, *[Page("", term=f"lamp {number}") for number in range(100)])
    lanes = Counter(lane_of_cell("shop", each.id) for each in room.waiting())
    room.kafka.sick = min(lanes)
    lost = Lost("kafka-away")
    await room.anonymiser.stop()
    assert lost.count == lanes.pop(room.kafka.sick)
    assert {message.partition for message in room.kafka.messages} == set(lanes)


async def test_who_stops_does_not_wait_for_a_kafka_that_says_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be killed before it could count what is lost."""
    monkeypatch.setattr(module, "LAST_SECONDS", 0.05)
    lost = Lost("kafka-away")
    for visitor in range(5):
        room.visit(visitor)
    room.kafka.silent = True
    async with asyncio.timeout(20):
        await room.anonymiser.stop()
    assert lost.count == 5


async def test_nobody_is_left_in_memory_or_told_of(room: Room) -> None:
    """Neither an address nor an agent nor a path outlives the call, in the buffer, a metric or a repr."""
    address, agent = "198.51.100.77", "Quxolotl/77 (unique)"
    room.anonymiser.take(room.site, address, agent, [Page("/account/Quxolotl?email=q@m.example", term="x")])
    said = f"{vars(room.anonymiser)!r}{[vars(each.crowd) for each in room.anonymiser._rooms.values()]!r}"
    assert address not in said and "Quxolotl" not in said
    assert b"Quxolotl" not in generate_latest(metrics.REGISTRY)
    gc.collect()
    held = [each for each in gc.get_objects() if type(each).__name__ == "Visitor"]
    assert not held


@pytest.mark.parametrize("wrong", [{"crowd": 4}, {"flush_seconds": 0.0}, {"flush_seconds": 3_601.0}])
def test_no_setting_makes_a_crowd_smaller_or_an_hour_longer(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Mixing(**wrong)  # type: ignore[arg-type]


async def test_a_shorter_time_lets_a_crowd_leave_earlier() -> None:
    room = Room(Mixing(crowd=5, flush_seconds=2.0))
    await room.key()
    for visitor in range(4):
        room.visit(visitor)
    assert await room.leave(2) == []
    room.visit(4)
    assert len(await room.leave(0)) == 1
    assert room.clock.now() - NOON == timedelta(seconds=2)


async def test_it_asks_for_its_key_and_lets_crowds_leave_by_itself() -> None:
    room = Room(Mixing(crowd=5, flush_seconds=0.05), SystemClock())
    await room.anonymiser.start()
    async with asyncio.timeout(20):
        while not room.anonymiser.ready:
            await asyncio.sleep(0.01)
        for visitor in range(5):
            room.visit(visitor)
        while not room.kafka.messages:
            await asyncio.sleep(0.01)
    await room.anonymiser.stop()
    assert len(room.cells()) == 5
