"""What the loop promises, on the in-memory twins."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from schemas.deliveries import ParcelTracked
from schemas.erasure import Erase, Receipt
from schemas.orders import OrderPlaced
from schemas.topics import COMMANDS, RECEIPTS
from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.decision import Outgoing
from services.kernel.errors import ConfigurationError, LaneLost
from services.kernel.ids import random_id
from services.kernel.storage.interface import OutboxRow
from services.kernel.telemetry import metrics
from services.kernel.worker.decode import Decoder, lane_of
from services.kernel.worker.endings import CONSUMED, DEAD_LETTERED, REPEATED, SUPPRESSED
from services.kernel.worker.loop import Loop
from services.kernel.worker.outgoing import Author
from services.kernel.worker.turn import Batch, Turn, _excepted
from tests.unit.kernel.sample import World, held, message, said, worker

ANNA, ORDER, OTHER = random_id(), random_id(), random_id()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.stop()


def erase(subject: str, *but: str, round_number: int = 1) -> Message:
    command = Erase(request="a" * 32, round=round_number, but=tuple(held(scope) for scope in but))
    return message(COMMANDS.name, subject, command, random_id())


def receipts(world: World) -> list[Receipt]:
    return [
        Receipt.model_validate_json(record.value or b"") for record in world.broker.records(RECEIPTS.name)
    ]


async def test_what_was_read_is_stored_before_it_is_published(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "hello"))
    await world.settle(1)
    assert world.heard() == {ORDER: ("hello",)}
    kinds = [effect[0] for effect in world.effects]
    assert kinds.index("stored") < kinds.index("published")


async def test_order_per_key_is_kept_over_many_batches(world: World) -> None:
    world.start()
    words = [f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)]
    for word in words:
        world.broker.append(said(ANNA, ORDER, word))
        await asyncio.sleep(0)
    await world.settle(200)
    assert world.heard()[ORDER] == tuple(words)
    assert world.echoed(ORDER) == words


async def test_a_repeat_changes_and_says_nothing(world: World) -> None:
    world.start()
    for _ in range(3):
        world.broker.append(said(ANNA, ORDER, "hello"))
    await world.settle(3)
    assert world.echoed(ORDER) == ["hello"]
    assert world.storage.tables.endings["words", REPEATED] == 2
    assert world.storage.tables.endings["words", CONSUMED] == 1


async def test_a_refused_record_is_a_dead_letter_and_harms_nobody_behind_it(world: World) -> None:
    world.start()
    for word in ("one", "no", "two"):
        world.broker.append(said(ANNA, ORDER, word))
    await world.settle(3)
    assert world.heard()[ORDER] == ("one", "two")
    (letter,) = world.storage.tables.letters[str(lane_of(ANNA, 12))]
    assert (letter.code, letter.blocks, letter.parked) == ("word-refused", False, False)


async def test_behind_a_failed_record_its_key_is_parked_and_others_go_on(world: World) -> None:
    world.start()
    for order, word in ((ORDER, "one"), (ORDER, "bug"), (ORDER, "two"), (OTHER, "two")):
        world.broker.append(said(ANNA, order, word))
    await world.settle(4)
    world.broker.append(said(ANNA, ORDER, "three"))
    await world.settle(5)
    assert world.heard() == {ORDER: ("one",), OTHER: ("two",)}
    letters = world.storage.tables.letters[str(lane_of(ANNA, 12))]
    assert [(each.code, each.blocks, each.parked) for each in letters] == [
        ("bug-ZeroDivisionError", True, False),
        ("behind-failed", False, True),
        ("behind-failed", False, True),
    ]


async def test_redrive_folds_what_was_parked_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start()
    for word in ("bug", "two", "three"):
        world.broker.append(said(ANNA, ORDER, word))
    await world.settle(3)
    mended = world.loops[0][0]._turn._worker.handler
    decide = mended._decide
    monkeypatch.setattr(
        mended,
        "_decide",
        lambda s, e, g: decide(s, e.model_copy(update={"word": "mended"}) if e.word == "bug" else e, g),
    )
    first = world.storage.tables.letters[str(lane_of(ANNA, 12))][0]
    world.storage.tables.redrives.add(first.id)
    async with asyncio.timeout(30):
        while len(world.heard().get(ORDER, ())) < 3:
            await asyncio.sleep(0.01)
    assert world.heard()[ORDER] == ("mended", "two", "three")
    assert world.ended() == 3, "redriven records are counted apart"
    assert world.storage.tables.endings["words", "redriven-consumed"] == 3


async def test_what_the_database_refuses_is_found_and_set_aside(world: World) -> None:
    for number in range(7):
        world.broker.append(said(ANNA, f"{number:032x}", "cursed" if number == 4 else "fine"))
    world.broker.append(said(ANNA, f"{4:032x}", "behind"))
    world.start()
    await world.settle(8)
    assert len(world.heard()) == 6
    letters = world.storage.tables.letters[str(lane_of(ANNA, 12))]
    assert [(each.code, each.parked) for each in letters] == [("store-22021", False), ("behind-failed", True)]


async def test_a_due_timer_is_folded_like_a_record(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "later"))
    async with asyncio.timeout(30):
        while world.echoed(ORDER) != ["later", "rang"]:
            await asyncio.sleep(0.01)
    assert world.storage.tables.endings["(timers)", CONSUMED] == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: Message(m.topic, m.key, b"{", m.headers), "json_invalid"),
        (lambda m: Message(m.topic, m.key, None, m.headers), "value-missing"),
        (lambda m: Message(m.topic, m.key, m.value, ()), "content-type"),
        (lambda m: Message(m.topic, b"f" * 32, m.value, m.headers), "subject-not-key"),
        (lambda m: Message(m.topic, m.key, m.value, m.headers, (lane_of(ANNA, 12) + 1) % 12), "lane-wrong"),
    ],
)
async def test_a_broken_record_leaves_coordinates_and_length_only(
    world: World, change: object, code: str
) -> None:
    world.start()
    world.broker.append(change(said(ANNA, ORDER, "hello")))  # type: ignore[operator]
    await world.settle(1)
    letters = [each for letters in world.storage.tables.letters.values() for each in letters]
    assert [(each.code.replace("-", "_"), each.value) for each in letters] == [(code.replace("-", "_"), None)]
    assert world.storage.tables.endings["words", DEAD_LETTERED] == 1


async def test_the_lanes_of_each_worker_of_a_process_are_counted_apart(world: World) -> None:
    """Dispatch has two in one process; one that let go of its lanes must not look as if the other had."""
    metrics.LANES_OWNED.labels("other").set(2)
    world.start()
    await world.joined()
    owned = {
        name: metrics.LANES_OWNED.labels(name)._value.get()  # type: ignore[attr-defined]
        for name in ("sample", "other")
    }
    assert owned == {"sample": 12, "other": 2}


async def test_erasure_removes_rows_and_stops_late_events(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    world.broker.append(erase(ANNA))
    await world.settle(2)
    world.broker.append(said(ANNA, ORDER, "late"))
    await world.settle(3)
    assert world.heard() == {}
    assert world.storage.tables.endings["words", SUPPRESSED] == 1
    (receipt,) = receipts(world)
    assert (receipt.owner, receipt.stored, receipt.erased) == ("sample", True, 1)


async def test_an_excepted_scope_lives_on_until_a_later_round(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    world.broker.append(said(ANNA, OTHER, "one"))
    await world.settle(2)
    world.broker.append(erase(ANNA, ORDER))
    await world.settle(3)
    world.broker.append(said(ANNA, ORDER, "two"))
    world.broker.append(said(ANNA, OTHER, "two"))
    await world.settle(5)
    assert world.heard() == {ORDER: ("one", "two")}
    world.broker.append(erase(ANNA, round_number=2))
    await world.settle(6)
    assert world.heard() == {}
    assert [(each.erased, len(each.retained)) for each in receipts(world)] == [(1, 1), (1, 0)]


async def test_dead_letters_of_an_erased_subject_go_with_it(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "no"))
    await world.settle(1)
    world.broker.append(erase(ANNA))
    await world.settle(2)
    assert not any(world.storage.tables.letters.values())


async def test_a_new_lane_reads_the_erasures_before_anything_else(world: World) -> None:
    world.broker.append(said(ANNA, ORDER, "one"))
    world.broker.append(erase(ANNA))
    world.start()
    await world.settle(2)
    assert world.heard() == {}
    assert world.echoed(ORDER) == []
    assert world.storage.tables.endings["words", SUPPRESSED] == 1


async def test_a_batch_fetched_from_elsewhere_is_given_up(world: World) -> None:
    """A zombie owner that comes back with a batch it fetched long ago loses, and nothing is doubled."""
    record = world.broker.append(said(ANNA, ORDER, "one"))
    partition = TopicPartition("words", record.partition)
    lane, sample = str(record.partition), worker()
    await world.storage.begin(lane, {partition: 0})
    turn = Turn(sample, world.storage, Decoder(sample), "1")
    batch = Batch([record], {partition: 0}, {partition: 1})
    await turn.handle(lane, batch)
    with pytest.raises(LaneLost):
        await turn.handle(lane, batch)
    assert world.storage.tables.endings == {("words", CONSUMED): 1}
    assert world.storage.tables.positions[partition] == 1


async def test_a_lane_that_lost_reads_its_position_again_and_goes_on(world: World) -> None:
    world.start()
    await world.joined()
    partition = TopicPartition("words", lane_of(ANNA, 12))
    world.broker.append(said(ANNA, ORDER, "skipped"))
    world.storage.tables.positions[partition] = 1
    world.broker.append(said(ANNA, ORDER, "two"))
    await world.settle(1)
    assert world.heard()[ORDER] == ("two",)


async def test_members_come_and_go_and_nothing_is_lost_or_doubled(world: World) -> None:
    subjects = [random_id() for _ in range(20)]
    world.start()
    sent = 0
    for round_number in range(6):
        for subject in subjects:
            world.broker.append(said(subject, subject, f"w{chr(97 + round_number)}"))
            sent += 1
        await asyncio.sleep(0.02)
        if round_number in (1, 2):
            world.start()
        if round_number == 4:
            loop, task = world.loops.pop(0)
            loop.stop()
            await task
    await world.settle(sent)
    words = tuple(f"w{chr(97 + n)}" for n in range(6))
    assert world.heard() == dict.fromkeys(subjects, words)
    assert all(world.echoed(subject) == list(words) for subject in subjects)


async def test_a_broker_that_goes_away_delays_and_loses_nothing(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    world.broker.away = True
    await asyncio.sleep(0.1)
    world.broker.away = False
    world.broker.append(said(ANNA, ORDER, "two"))
    await world.settle(2)
    assert world.echoed(ORDER) == ["one", "two"]


async def refused(world: World) -> str:
    _, task = world.loops.pop()
    with pytest.raises(ConfigurationError) as refusal:
        await asyncio.wait_for(task, timeout=30)
    return refusal.value.code


async def test_a_recreated_topic_is_refused(world: World) -> None:
    world.start()
    await world.joined()
    await world.stop()
    world.broker.ids["words"] = "another"
    world.start()
    assert await refused(world) == "topic-recreated"


@pytest.mark.parametrize(
    "pattern, restored", [(None, True), ("words", False)], ids=["on-the-operators-word", "a-partners"]
)
async def test_a_recreated_topic_is_read_from_its_beginning(
    world: World, pattern: str | None, restored: bool
) -> None:
    """Old positions would skip what is said now, or ask for what never was. A partner's must not stop the others."""
    lane = TopicPartition("words", lane_of(ANNA, 12))
    world.start(pattern)
    for word in ("one", "two"):
        world.broker.append(said(ANNA, ORDER, word))
    await world.settle(2)
    await world.stop()
    world.broker.ids["words"] = "another"
    world.broker.logs[lane].records.clear()
    world.broker.groups.clear()
    world.broker.append(said(ANNA, ORDER, "three"))
    world.start(pattern, restored=restored)
    await world.settle(3)
    assert world.heard()[ORDER] == ("one", "two", "three")
    assert world.storage.tables.positions[lane] == 1


async def test_a_database_older_than_the_group_is_refused(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    await world.stop()
    world.storage.tables.positions[TopicPartition("words", lane_of(ANNA, 12))] = 0
    loop = world.start()
    said_ready = asyncio.create_task(ever_ready(loop))
    assert await refused(world) == "database-restored"
    assert not await said_ready, "whoever waits for it to be ready would take its refusal for a start"
    world.start(restored=True)
    await asyncio.sleep(0.05)


async def ever_ready(loop: Loop) -> bool:
    """Return whether a loop says that it is ready, in the second that it needs to refuse."""
    for _ in range(200):
        if loop.ready:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_a_lane_counter_below_the_published_position_is_refused(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    await world.stop()
    world.storage.tables.numbers[str(lane_of(ANNA, 12))] = 0
    world.start()
    assert await refused(world) == "database-restored"


async def test_records_that_expired_unread_are_refused(world: World) -> None:
    world.start()
    await world.joined()
    await world.stop()
    log = world.broker.logs[TopicPartition("words", 3)]
    log.start = 7
    world.start()
    assert await refused(world) == "records-expired-unread"


@pytest.mark.parametrize("fault", ["undecodable", "bug"])
async def test_the_breaker_stops_a_worker_that_would_bury_a_topic(world: World, fault: str) -> None:
    world.start()
    for number in range(120):
        record = said(ANNA, f"{number:032x}", "bug")
        broken = Message(record.topic, record.key, b"{", record.headers)
        world.broker.append(broken if fault == "undecodable" else record)
    assert await refused(world) == "breaker-open"


async def test_what_an_operator_has_seen_to_be_unreadable_is_buried(world: World) -> None:
    for number in range(120):
        record = said(ANNA, f"{number:032x}", "good")
        world.broker.append(Message(record.topic, record.key, b"{", record.headers))
    world.broker.append(said(ANNA, ORDER, "good"))
    world.start(exempt=frozenset({"words"}))
    await world.settle(121)
    assert world.storage.tables.endings["words", DEAD_LETTERED] == 120
    assert world.heard() == {ORDER: ("good",)}


async def test_no_storefront_can_open_the_breaker_by_what_a_rule_refuses(world: World) -> None:
    world.start()
    for number in range(120):
        world.broker.append(said(ANNA, f"{number:032x}", "no"))
    await world.settle(120)
    assert world.storage.tables.endings["words", DEAD_LETTERED] == 120
    await world.joined()


async def test_an_event_needs_a_ground_for_what_it_carries_not_just_for_its_order() -> None:
    """An invoice held for the tax office must not let a late address back in."""
    order = OrderPlaced.model_construct(order=ORDER)
    tracked = ParcelTracked.model_construct(order=ORDER)
    invoice, everything = {(ORDER, "accounting")}, {(ORDER, "logistics"), (ORDER, "transaction")}
    assert not _excepted(order, frozenset(invoice))
    assert not _excepted(order, frozenset({(ORDER, "logistics")}))
    assert _excepted(order, frozenset(everything))
    assert _excepted(tracked, frozenset(invoice))
    assert not _excepted(tracked, frozenset({(OTHER, "logistics")}))


async def test_outgoing_rows_left_by_a_killed_owner_are_published_once(world: World) -> None:
    world.start()
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    await world.stop()
    lane = str(lane_of(ANNA, 12))
    published = len(world.broker.records("shipments"))
    async with world.storage.transaction(lane) as tx:
        await tx.append([OutboxRow("shipments", ANNA, b"{}", (), ANNA, None, ())])
    # Killed after publishing and before deleting: the row is still there, below the published position.
    group, anchor = world.broker.groups["sample.outbox"], TopicPartition("words", int(lane))
    outbox = world.broker.outbox("sample", anchor)
    assert await outbox.start() == group.committed[anchor]
    await outbox.publish([Message("shipments", ANNA.encode(), b"{}", ())], group.committed[anchor] + 1)
    world.start()
    world.broker.append(said(ANNA, ORDER, "two"))
    await world.settle(2)
    assert len(world.broker.records("shipments")) == published + 2


def test_two_owners_that_answer_one_command_use_different_ids() -> None:
    """The gateway folds by event id: a shared one would swallow the second owner's word."""
    receipt = Receipt.model_validate(
        {"request": "a" * 32, "round": 1, "owner": "orders", "stored": True, "done_at": datetime.now(UTC)}
    )
    answer = (Outgoing(RECEIPTS.name, ANNA, receipt), Outgoing(RECEIPTS.name, ANNA, receipt))
    ids = [
        dict(row.headers)["ce_id"]
        for owner in ("orders", "carriers")
        for row in Author(owner, "1").rows("one cause", answer, datetime.now(UTC))
    ]
    assert len(set(ids)) == 4
    again = Author("orders", "1").rows("one cause", answer, datetime.now(UTC))
    assert [dict(row.headers)["ce_id"] for row in again] == ids[:2]
