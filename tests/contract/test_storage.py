"""One suite for PostgreSQL and its in-memory twin: what the loop may rely on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from services.kernel.broker.interface import TopicPartition
from services.kernel.errors import StoreRejected
from services.kernel.ids import random_id
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import DeadLetter, OutboxRow, Storage, TimerRow
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from tests.fixtures.database import settings_at
from tests.fixtures.platform import Platform

P = TopicPartition("words", 3)
ANNA, BEN = random_id(), random_id()


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    if request.param == "memory":
        made: Storage = MemoryStorage()
    else:
        made = PostgresStorage(
            settings_at(request.getfixturevalue("platform").new_database(), WorkerSettings)
        )
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def postgres(platform: Platform) -> AsyncIterator[PostgresStorage]:
    """The real one alone, for what its twin cannot show."""
    made = PostgresStorage(settings_at(platform.new_database(), WorkerSettings))
    await made.start()
    yield made
    await made.stop()


def row(subject: str = ANNA, *sealed: str, scope: str = "s1", topic: str = "shipments") -> OutboxRow:
    return OutboxRow(topic, subject, b"{}", [("ce_id", b"1")], subject, scope, sealed)


def letter(offset: int, key: str = "k1", **more: object) -> DeadLetter:
    made = DeadLetter(
        "words", 3, offset, "rejected", subject=ANNA, scope="s1", state_key=key, value=b"v", length=1
    )
    return replace(made, **more)


async def test_positions_begin_once_and_advance(storage: Storage) -> None:
    await storage.begin("3", {P: 5})
    await storage.begin("3", {P: 9})
    assert await storage.positions("3", [P, TopicPartition("other", 3)]) == {P: 5}
    async with storage.transaction("3") as tx:
        assert await tx.positions() == {P: 5}
        await tx.advance({P: 8})
    assert await storage.positions("3", [P]) == {P: 8}
    await storage.begin("3", {P: 2}, force=True)
    assert await storage.positions("3", [P]) == {P: 2}


async def test_a_transaction_is_all_or_nothing(storage: Storage) -> None:
    await storage.begin("3", {P: 0})
    with pytest.raises(ZeroDivisionError):
        async with storage.transaction("3") as tx:
            await tx.advance({P: 8})
            await tx.append([row()])
            await tx.count({("words", "consumed"): 1})
            raise ZeroDivisionError
    assert await storage.positions("3", [P]) == {P: 0}
    assert await storage.outbox("3", 10) == []
    assert await storage.last_number("3") == 0
    assert await storage.endings() == {}


async def test_only_one_transaction_of_a_lane_runs_at_a_time(storage: Storage) -> None:
    await storage.begin("3", {P: 0})
    order = []

    async def take(name: str, pause_seconds: float) -> None:
        async with storage.transaction("3") as tx:
            order.append(f"{name} in")
            await tx.positions()
            await asyncio.sleep(pause_seconds)
            order.append(f"{name} out")

    first = asyncio.create_task(take("first", 0.2))
    await asyncio.sleep(0.05)
    await asyncio.gather(first, take("second", 0))
    assert order == ["first in", "first out", "second in", "second out"]


async def test_what_is_read_after_the_lock_is_what_the_last_owner_wrote(storage: Storage) -> None:
    """A paused owner must not decide on a suppression list from before it had the lane."""
    await storage.begin("3", {P: 0})
    inside = asyncio.Event()

    async def erase() -> None:
        async with storage.transaction("3") as tx:
            inside.set()
            await asyncio.sleep(0.1)
            await tx.suppress(ANNA, "r" * 32, 1, frozenset())

    async def late() -> bool:
        await inside.wait()
        async with storage.transaction("3") as tx:
            return ANNA in await tx.suppressed([ANNA])

    _, seen = await asyncio.gather(erase(), late())
    assert seen


async def test_outgoing_rows_are_numbered_in_order_over_transactions_and_savepoints(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        await tx.append([row(), row()])
        with pytest.raises(StoreRejected):
            async with tx.savepoint():
                await tx.append([row()])
                raise StoreRejected("22000")
        await tx.append([row(BEN, "logistics")])
    waiting = await storage.outbox("3", 10)
    assert [each.number for each in waiting] == [1, 2, 3]
    assert waiting[2].key == BEN and waiting[2].sealed == ("logistics",)
    assert list(waiting[0].headers) == [("ce_id", b"1")]
    assert await storage.outbox("3", 1) == waiting[:1]
    await storage.published("3", 2)
    assert [each.number for each in await storage.outbox("3", 10)] == [3]
    assert await storage.waiting() == {"3"}
    await storage.published("3", 3)
    assert await storage.waiting() == frozenset()
    assert await storage.last_number("3") == 3
    await storage.raise_number("3", 9)
    assert await storage.last_number("3") == 9


async def test_suppression_replaces_its_exceptions_round_by_round(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        assert not await tx.suppress(ANNA, "r" * 32, 1, frozenset({("s1", "logistics")}))
    async with storage.transaction("3") as tx:
        assert await tx.suppressed([ANNA, BEN]) == {ANNA: frozenset({("s1", "logistics")})}
        assert await tx.suppress(ANNA, "r" * 32, 2, frozenset())
        assert await tx.suppressed([ANNA]) == {ANNA: frozenset()}


async def test_an_earlier_round_said_again_excepts_nothing_again(storage: Storage) -> None:
    """A restored erasure worker says its commands again; what has ended since stays ended."""
    for round_number, but in ((1, {("s1", "logistics")}), (2, set()), (1, {("s1", "logistics")})):
        async with storage.transaction("3") as tx:
            already = await tx.suppress(ANNA, "r" * 32, round_number, frozenset(but))
    async with storage.transaction("3") as tx:
        assert already and await tx.suppressed([ANNA]) == {ANNA: frozenset()}
        await tx.suppress(ANNA, "e" * 32, 1, frozenset({("s2", "accounting")}))
        assert await tx.suppressed([ANNA]) == {ANNA: frozenset({("s2", "accounting")})}


async def test_a_blocking_letter_blocks_its_key_until_redriven_with_what_is_parked(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        await tx.bury(
            [letter(1, blocks=True), letter(2, parked=True), letter(3, "k2"), letter(4, parked=True)]
        )
        assert await tx.blocked(["k1", "k2", "k3"]) == {"k1"}
    await mark_oldest(storage, "3")
    assert await storage.waiting() == {"3"}
    async with storage.transaction("3") as tx:
        taken = await tx.exhume(10)
        assert [(each.offset, each.parked) for each in taken] == [(1, False), (2, True), (4, True)]
        assert await tx.blocked(["k1"]) == frozenset()
        assert await tx.exhume(10) == []
    assert await storage.waiting() == frozenset()


async def mark_oldest(storage: Storage, lane: str) -> None:
    """As the operator's command does."""
    if isinstance(storage, PostgresStorage):
        await storage.pool.execute(
            "UPDATE dead_letter SET redrive = true WHERE id = (SELECT min(id) FROM dead_letter)"
        )
    else:
        storage.tables.redrives.add(storage.tables.letters[lane][0].id)


async def test_timers_wait_until_due_and_replace_each_other(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        soon = TimerRow("k1", "rang", ANNA, "s1", b"old", tx.at + timedelta(hours=1))
        await tx.schedule([soon, replace(soon, state_key="k2", body=b"later")])
        await tx.schedule([replace(soon, body=b"new", due_at=tx.at - timedelta(seconds=1))])
        assert [each.body for each in await tx.due(10)] == [b"new"]
        assert await tx.due(10) == []
    assert await storage.waiting() == frozenset()


async def test_counts_add_up(storage: Storage) -> None:
    for _ in range(2):
        async with storage.transaction("3") as tx:
            await tx.count({("words", "consumed"): 2, ("words", "repeated"): 1})
    async with storage.transaction("4") as tx:
        await tx.count({("words", "consumed"): 5})
    assert await storage.endings() == {("words", "consumed"): 9, ("words", "repeated"): 2}


async def test_forgetting_drops_what_is_sealed_and_not_excepted_and_nothing_else(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        await tx.append(
            [row(), row(ANNA, "logistics"), row(ANNA, "logistics", scope="s2"), row(BEN, "logistics")]
        )
        await tx.append([row(ANNA, "logistics", "transaction")])
        await tx.bury([letter(1), letter(2, scope="s2"), letter(3, subject=BEN)])
        timer = TimerRow("k1", "rang", ANNA, "s1", b"", tx.at + timedelta(hours=1))
        await tx.schedule([timer, replace(timer, state_key="k2", scope="s2")])
        assert await tx.forget(ANNA, frozenset({("s1", "logistics")})) == 4
    left = await storage.outbox("3", 10)
    assert [(each.subject, each.scope, each.sealed) for each in left] == [
        (ANNA, "s1", ()),
        (ANNA, "s1", ("logistics",)),
        (BEN, "s1", ("logistics",)),
    ]


async def test_what_waits_can_be_watched(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        await tx.append([row(), row(BEN)])
        await tx.bury([letter(1), letter(2), letter(3, topic="others")])
    backlog = await storage.backlog()
    assert backlog.outgoing == 2
    assert dict(backlog.letters) == {"words": 2, "others": 1}


async def test_an_owner_remembers_whom_it_stored_for(storage: Storage) -> None:
    async with storage.transaction("3") as tx:
        await tx.remember([ANNA])
        await tx.remember([ANNA, BEN])
    async with storage.transaction("3") as tx:
        assert await tx.remembers(ANNA)
        assert not await tx.remembers(random_id())


async def test_streams_are_known_by_their_ids(storage: Storage) -> None:
    await storage.know_streams({"words": "one", "others": "two"})
    await storage.know_streams({"words": "three"})
    assert await storage.streams() == {"words": "three", "others": "two"}


async def test_a_topic_made_anew_has_no_position_any_more(storage: Storage) -> None:
    other = TopicPartition("others", 3)
    await storage.know_streams({"words": "one", "others": "two"})
    await storage.begin("3", {P: 5, other: 7})
    await storage.know_streams({"words": "one", "others": "two"})
    assert await storage.positions("3", [P, other]) == {P: 5, other: 7}
    await storage.know_streams({"words": "three", "others": "two"})
    assert await storage.positions("3", [P, other]) == {other: 7}


async def test_a_topic_made_anew_is_found_out_lane_by_lane_where_each_partition_is_its_own(
    storage: Storage,
) -> None:
    """A partner's topic: one lane must not take the news from the others."""
    places = [TopicPartition("a.updates", number) for number in (0, 1)]
    lanes = [f"{each.topic}/{each.partition}" for each in places]
    for lane, place in zip(lanes, places, strict=True):
        await storage.know_streams({lane: "one"})
        await storage.begin(lane, {place: 5})
    await storage.know_streams({lanes[0]: "two"})
    assert await storage.positions(lanes[0], places[:1]) == {}
    assert await storage.positions(lanes[1], places[1:]) == {places[1]: 5}


async def test_a_connection_is_handed_on_as_it_is(platform: Platform) -> None:
    """The driver would undo after each transaction what nobody did: four statements more, each a round trip."""
    dsn = platform.new_database()
    storage = PostgresStorage(settings_at(dsn, WorkerSettings))
    await storage.start()
    watching = await asyncpg.connect(dsn)
    try:
        for _ in range(5):
            async with storage.transaction("3") as tx:
                await tx.remember([ANNA])
        last = "SELECT query FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
        said = {row["query"] for row in await watching.fetch(last)}
        assert "COMMIT;" in said
        assert not [each for each in said if "UNLISTEN" in each or "RESET" in each]
    finally:
        await watching.close()
        await storage.stop()


async def test_a_refusal_of_the_database_carries_a_code_and_no_value(postgres: PostgresStorage) -> None:
    with pytest.raises(StoreRejected) as refusal:
        async with postgres.transaction("3") as tx:
            await tx.connection.execute("INSERT INTO remembered VALUES ('secret'), ('secret')")
    assert "secret" not in str(refusal.value) and refusal.value.code == "23505"
    assert refusal.value.fields == {"constraint": "remembered_pkey"}
    assert refusal.value.__cause__ is None and refusal.value.__suppress_context__


async def test_no_plan_is_kept_from_when_a_table_was_small(postgres: PostgresStorage) -> None:
    """PostgreSQL keeps a statement's plan after the fifth time, unless it is told not to."""
    statement = "SELECT FROM suppression WHERE subject = $1"
    async with postgres.pool.acquire() as connection:
        for _ in range(7):
            await connection.fetch(statement, ANNA)
        plans = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", statement
        )
    assert tuple(plans) == (0, 7)
