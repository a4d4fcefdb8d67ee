"""Races on the keyring's rows, played move by move on a real database; each guard's removal turns its story
red.

A story stops one transaction between two statements, starts another, and looks at what is left: never a
living key of an erased person, never one that no ground holds, never one that nobody can unwrap any more (R3,
T1).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.privacy import Category, Purpose
from services.keyring.commands import Command, Step, carry_out
from services.keyring.expiry import expire_some
from services.keyring.minting import mint
from services.keyring.opening import OpenKey, open_keys
from services.keyring.rotation import rewrap, rotate
from services.keyring.settings import Settings
from services.keyring.store import SQL
from tests.fixtures.keyring import (
    SHOP,
    Bench,
    confirmed,
    destroy,
    new_id,
    new_ref,
    released,
    settings_for,
)

WAIT_SECONDS = 20


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    dsn = request.getfixturevalue("platform").new_database()
    return settings_for(dsn, tmp_path_factory.mktemp("keyring"))


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    async with Bench(settings) as bench:
        yield bench


class Paused:
    """A connection that stops before one statement until it is told to go on."""

    def __init__(self, connection: Any, before: str) -> None:
        self._connection = connection
        self._before = before
        self.reached = asyncio.Event()
        self.resume = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._connection, name)

        async def after_gate(statement: str, *arguments: Any) -> Any:
            if statement == getattr(SQL, self._before):
                self.reached.set()
                await self.resume.wait()
            return await call(statement, *arguments)

        return after_gate if name in ("fetch", "fetchval", "fetchrow", "execute") else call


@dataclass
class Stopped:
    """A transaction that stands still before a statement."""

    task: "asyncio.Task[Any]"
    gate: Paused

    async def go_on(self) -> Any:
        self.gate.resume.set()
        return await self.task


async def stop_before(bench: Bench, statement: str, work: Callable[[Any], Awaitable[Any]]) -> Stopped:
    """Run work in a transaction of its own until it is about to execute the named statement."""
    ready: asyncio.Future[Paused] = asyncio.get_running_loop().create_future()

    async def run() -> Any:
        async with bench.pool.acquire() as connection, connection.transaction():
            gate = Paused(connection, statement)
            ready.set_result(gate)
            return await work(gate)

    task = asyncio.create_task(run())
    gate = await ready
    reached = asyncio.create_task(gate.reached.wait())
    await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
    assert not task.done(), "the statement was never reached"
    return Stopped(task, gate)


async def settled(bench: Bench, task: "asyncio.Task[Any]") -> None:
    """Return when a task has ended, or waits for a lock that the stopped transaction holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not task.done():
            if await bench.pool.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock')"
            ):
                return
            await asyncio.sleep(0.02)


def minting(bench: Bench, *refs: Any) -> Callable[[Any], Awaitable[Any]]:
    return lambda connection: mint(connection, bench.keks, SHOP, refs, ())


def commanding(bench: Bench, subject: str, event: Any) -> Callable[[Any], Awaitable[list[Step]]]:
    return lambda connection: carry_out(
        connection, datetime.now(UTC), [Command(subject, event)], bench.signer
    )


async def check(bench: Bench, subject: str) -> None:
    """Assert what must hold of a subject whatever happened in whatever order."""
    state = await bench.state(subject)
    keys = await bench.pool.fetch(
        "SELECT k.kid, k.category, p.ground, p.held_until FROM data_key AS k LEFT JOIN pair AS p"
        " USING (subject, scope, category) WHERE subject = $1 AND wrapped IS NOT NULL",
        subject,
    )
    assert not (state == "erased" and keys), "a living key of an erased person"
    if state == "erasing":
        assert keys, "erasing for ever"
        assert all(key["ground"] for key in keys), "a living key that nothing holds"
    for key in keys:
        opened = await bench.open(key["kid"], category=Category(key["category"]))
        assert isinstance(opened[0], OpenKey), "a key that cannot be unwrapped"


# -- stories
# ----------------------------------------------------------------------------------------------------


async def a_destruction_waits_for_a_mint_under_way(bench: Bench) -> None:
    ref = new_ref()
    await bench.service.mint("gateway", SHOP, [], [ref.subject])
    minter = await stop_before(bench, "store_keys", minting(bench, ref))
    eraser = asyncio.create_task(bench.apply(ref.subject, destroy()))
    await settled(bench, eraser)
    await minter.go_on()
    await eraser
    await check(bench, ref.subject)


async def a_release_waits_for_a_mint_under_way(bench: Bench) -> None:
    """The person keeps another held order, so that the release changes nothing about the person's own row."""
    ref = new_ref()
    other = replace(ref, scope=new_id())
    await bench.mint(ref, other)
    for event in (confirmed(ref), confirmed(other), destroy()):
        await bench.apply(ref.subject, event)
    minter = await stop_before(bench, "store_keys", minting(bench, ref))
    releaser = asyncio.create_task(bench.apply(ref.subject, released(ref)))
    await settled(bench, releaser)
    await minter.go_on()
    await releaser
    await check(bench, ref.subject)


async def a_mint_waits_for_a_release_under_way(bench: Bench) -> None:
    ref = new_ref()
    other = replace(ref, scope=new_id())
    await bench.mint(ref, other)
    for event in (confirmed(ref), confirmed(other), destroy()):
        await bench.apply(ref.subject, event)
    releaser = await stop_before(bench, "destroy_keys", commanding(bench, ref.subject, released(ref)))
    minter = asyncio.create_task(bench.mint(ref))
    await settled(bench, minter)
    await releaser.go_on()
    await minter
    await check(bench, ref.subject)


async def a_mint_waits_for_the_erasure_of_a_person_never_seen(bench: Bench) -> None:
    ref = new_ref()
    eraser = await stop_before(bench, "dead_keys", commanding(bench, ref.subject, destroy()))
    minter = asyncio.create_task(bench.mint(ref))
    await settled(bench, minter)
    await eraser.go_on()
    await minter
    await check(bench, ref.subject)


async def a_rewrap_does_not_bring_back_what_was_destroyed_meanwhile(bench: Bench) -> None:
    ref = new_ref(Category.TRANSACTION)
    await bench.mint(ref)
    for event in (confirmed(ref, 1), released(ref, 2)):
        await bench.apply(ref.subject, event)
    version = await bench.pool.fetchval(
        "SELECT version FROM kek WHERE category = $1 AND state = 'primary'", ref.category
    )
    rewrapper = await stop_before(
        bench, "rewrap_keys", lambda it: rewrap(it, bench.keks, ref.category, version, version)
    )
    await asyncio.wait_for(bench.apply(ref.subject, destroy()), WAIT_SECONDS)
    await rewrapper.go_on()
    await check(bench, ref.subject)


async def a_rotation_waits_for_a_mint_under_way(bench: Bench) -> None:
    ref = new_ref(Category.ACCOUNTING)
    minter = await stop_before(bench, "store_keys", minting(bench, ref))
    rotation = asyncio.create_task(rotate(bench.pool, bench.keks, ref.category))
    await settled(bench, rotation)
    await minter.go_on()
    await rotation
    await check(bench, ref.subject)


async def a_destruction_dates_itself_after_whoever_was_handed_the_key(bench: Bench) -> None:
    """The certificate says when the last lease ends: counted from a moment after which nobody got the key."""
    ref = new_ref()
    (key,) = await bench.mint(ref)
    for event in (confirmed(ref, 1), released(ref, 2)):
        await bench.apply(ref.subject, event)
    categories = frozenset({ref.category})
    opener = await stop_before(
        bench,
        "count_openings",
        lambda it: open_keys(it, bench.keks, "carriers", Purpose.DELIVERY, categories, [key.kid]),
    )
    eraser = asyncio.create_task(bench.carry_out((ref.subject, destroy())))
    await settled(bench, eraser)
    handed_out_at = await bench.pool.fetchval("SELECT clock_timestamp()")
    (opened,) = await opener.go_on()
    assert isinstance(opened, OpenKey)
    (step,) = await eraser
    assert step.said[0].destroyed_at > handed_out_at  # type: ignore[attr-defined]


async def an_expiry_leaves_a_person_alone_whose_erasure_has_begun(bench: Bench) -> None:
    """Others must hear of that end, in their lane's order: it is left to the reminder of the erasure."""
    ref = new_ref()
    held = replace(ref, scope=new_id())
    await bench.mint(ref, held)
    await bench.apply(ref.subject, confirmed(held))
    await bench.pool.execute(
        "UPDATE pair SET held_until = now() - interval '1 s' WHERE subject = $1 AND ground = 'provisional'",
        ref.subject,
    )
    expiry = await stop_before(bench, "lock_active_subjects", expire_some)
    soon = datetime.now(UTC) - timedelta(hours=1)  # a clock at which the ground still holds
    async with bench.storage.transaction("0") as tx:
        await carry_out(tx.connection, soon, [Command(ref.subject, destroy())], bench.signer)
    await expiry.go_on()
    ground = await bench.pool.fetchval(
        "SELECT ground FROM pair WHERE subject = $1 AND scope = $2", ref.subject, ref.scope
    )
    assert ground == "provisional", "the end of a ground was never told"


Story = Callable[[Bench], Awaitable[None]]

GUARDS: list[tuple[Story, str, str]] = [
    (a_destruction_waits_for_a_mint_under_way, "share_subjects", "FOR SHARE"),
    (a_release_waits_for_a_mint_under_way, "share_subjects", "FOR SHARE"),
    (a_release_waits_for_a_mint_under_way, "lock_subjects", "FOR UPDATE"),
    (a_mint_waits_for_a_release_under_way, "share_subjects", "FOR SHARE"),
    (
        a_rewrap_does_not_bring_back_what_was_destroyed_meanwhile,
        "rewrap_keys",
        "AND data_key.wrapped = mine.before",
    ),
    (a_rotation_waits_for_a_mint_under_way, "share_primary_keks", "FOR SHARE"),
    (a_destruction_dates_itself_after_whoever_was_handed_the_key, "open_keys", "FOR SHARE"),
    (an_expiry_leaves_a_person_alone_whose_erasure_has_begun, "lock_active_subjects", "AND state = 'active'"),
]
STORIES = dict.fromkeys(
    [*(story for story, _, _ in GUARDS), a_mint_waits_for_the_erasure_of_a_person_never_seen]
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_race_ends_well(bench: Bench, story: Story) -> None:
    await story(bench)


@pytest.mark.parametrize(
    ("story", "statement", "guard"), GUARDS, ids=lambda part: getattr(part, "__name__", part)
)
async def test_without_its_guard_the_race_ends_badly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, story: Story, statement: str, guard: str
) -> None:
    """A story that stays green without the guard would show nothing."""
    text = getattr(SQL, statement)
    assert guard in text
    monkeypatch.setattr(SQL, statement, text.replace(guard, ""), raising=False)
    with pytest.raises(Exception):  # noqa: B017 - red is red: an assertion, or a database that refuses
        await story(bench)
    await bench.pool.execute(
        "DELETE FROM data_key WHERE wrapped IS NOT NULL"
    )  # what the broken run left behind
