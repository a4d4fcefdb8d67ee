"""Two thousand moves at once: mints, holds, releases, destructions, rotations, expiries and openings (R3).

Nobody decides who comes first; whatever the order, the same must hold at the end, and nothing may deadlock.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from schemas.privacy import Category, Event
from services.kernel.sealing.interface import Refused
from services.kernel.sealing.keys import KeyRef
from services.keyring.expiry import expire
from services.keyring.minting import NewKey
from services.keyring.opening import Denied, OpenKey
from services.keyring.rotation import resume, rotate
from services.keyring.store import SQL
from tests.fixtures.keyring import Bench, confirmed, destroy, new_id, new_ref, released, settings_for

PEOPLE = 40
ROUNDS = 5
SEED = 20261123


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    dsn = request.getfixturevalue("platform").new_database()
    async with Bench(settings_for(dsn, tmp_path), connections=14) as bench:
        yield bench


class Storm:
    """Everything that can happen to a few people, in every order at once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.dice = random.Random(SEED)
        self.keys: dict[str, KeyRef] = {}
        self.happened: Counter[str] = Counter()
        self.room = asyncio.Semaphore(12)

    async def mint(self, refs: list[KeyRef]) -> None:
        for ref, answer in zip(refs, await self.bench.mint(*refs), strict=True):
            if isinstance(answer, NewKey):
                self.keys[answer.kid] = ref
            else:
                assert answer is Refused.SUBJECT_ERASED
                self.happened["refused"] += 1

    async def tell(self, subject: str, event: Event) -> None:
        # Not a lane per person, as in life: here two commands about one person meet as well.
        await self.bench.carry_out((subject, event), lane=str(self.dice.randrange(12)))

    async def open_some(self) -> None:
        kids = self.dice.sample(sorted(self.keys), min(20, len(self.keys)))
        for answer in await self.bench.open(*kids):
            assert isinstance(answer, OpenKey) or answer is Denied.ERASED

    async def life(self, refs: list[KeyRef]) -> None:
        """One person's events, all at once: each is right in any order."""
        subject = refs[0].subject
        moves: list[Callable[[], Awaitable[None]]] = [
            *(partial(self.mint, refs) for _ in range(3)),
            *(partial(self.tell, subject, confirmed(ref, 1)) for ref in refs),
            *(partial(self.tell, subject, released(ref, 2)) for ref in refs),
            *(partial(self.tell, subject, destroy("d" * 32, number)) for number in (1, 2)),
            self.open_some,
        ]
        self.dice.shuffle(moves)
        await asyncio.gather(*(self._after(self.dice.random() / 5, move) for move in moves))

    async def _after(self, seconds: float, move: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(seconds)
        async with self.room:
            await move()
        self.happened["moves"] += 1


async def test_nothing_lives_that_should_not_whatever_the_order(bench: Bench) -> None:
    storm = Storm(bench)
    raining = True

    async def weather() -> None:
        while raining:
            await rotate(bench.pool, bench.keks, Category.LOGISTICS)
            await expire(bench.pool)

    raining_task = asyncio.create_task(weather())
    for _ in range(ROUNDS):
        people = [new_ref() for _ in range(PEOPLE)]
        lives = [[ref, replace(ref, scope=new_id())] for ref in people]
        await asyncio.gather(*(storm.life(refs) for refs in lives))
    raining = False
    await raining_task
    await resume(bench.pool, bench.keks, Category.LOGISTICS)
    assert storm.happened["moves"] >= 2000
    await _check_everything(bench, storm)


async def _check_everything(bench: Bench, storm: Storm) -> None:
    broken = await bench.pool.fetch(
        "SELECT s.id, s.state, p.ground FROM data_key AS k JOIN subject AS s ON s.id = k.subject"
        " LEFT JOIN pair AS p USING (subject, scope, category) WHERE k.wrapped IS NOT NULL"
        " AND (s.state = 'erased' OR s.state = 'erasing' AND p.ground IS NULL)"
    )
    assert not broken
    waiting = await bench.pool.fetch(
        "SELECT id FROM subject AS s WHERE state = 'erasing'"
        " AND NOT EXISTS (SELECT FROM data_key AS k WHERE k.subject = s.id AND k.wrapped IS NOT NULL)"
    )
    assert not waiting, "erasing for ever"
    live = {
        row["kid"] for row in await bench.pool.fetch("SELECT kid FROM data_key WHERE wrapped IS NOT NULL")
    }
    for kid in storm.keys:
        (answer,) = await bench.open(kid)
        assert isinstance(answer, OpenKey) == (kid in live)
    for kek in await bench.pool.fetch(SQL.keks):
        assert kek["state"] in ("primary", "destroyed")
        assert kek["state"] == "primary" or not kek["live_keys"]


async def test_many_destructions_and_mints_of_the_same_people_do_not_deadlock(bench: Bench) -> None:
    """Batches name their people in any order; locks are taken in one."""
    people = [new_ref() for _ in range(40)]
    dice = random.Random(SEED)

    async def mint() -> None:
        await bench.mint(*dice.sample(people, 20))

    async def command(lane: int) -> None:
        chosen = dice.sample(people, 20)
        await bench.carry_out(*((ref.subject, confirmed(ref, 1)) for ref in chosen), lane=str(lane))

    async def erase(lane: int) -> None:
        chosen = dice.sample(people, 3)
        await bench.carry_out(*((ref.subject, destroy()) for ref in chosen), lane=str(lane))

    for turn in range(10):
        await asyncio.gather(
            *(mint() for _ in range(4)), *(command(n) for n in range(4)), erase(10 + turn % 2)
        )
    assert (
        await bench.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        == 0
    )
