"""KEK rotation: every living key survives it, no destroyed one does, and a kill between any two steps heals (T5)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas.privacy import Category
from services.kernel.errors import ConfigurationError
from services.keyring.chores import Chores
from services.keyring.kek import KekDirectory, Keks
from services.keyring.minting import NewKey
from services.keyring.opening import OpenKey
from services.keyring.rotation import CHUNK, begin, ensure_primaries, resume, rotate
from services.keyring.wrapping import Bound
from tests.fixtures.keyring import Bench, confirmed, destroy, new_ref, released, settings_for

LOGISTICS = Category.LOGISTICS


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A keyring on a database of its own: versions are counted here."""
    dsn = request.getfixturevalue("platform").new_database()
    async with Bench(settings_for(dsn, tmp_path)) as bench:
        yield bench


async def minted(bench: Bench, count: int) -> list[NewKey]:
    keys: list[NewKey] = []
    for start in range(0, count, 500):
        keys += await bench.mint(*(new_ref() for _ in range(min(500, count - start))))
    return keys


async def states(bench: Bench) -> dict[int, str]:
    rows = await bench.pool.fetch("SELECT version, state FROM kek WHERE category = $1", LOGISTICS)
    return {row["version"]: row["state"] for row in rows}


async def assert_all_open(bench: Bench, keys: list[NewKey]) -> None:
    for start in range(0, len(keys), 1000):
        part = keys[start : start + 1000]
        opened = await bench.open(*(key.kid for key in part))
        assert [answer.material for answer in opened if isinstance(answer, OpenKey)] == [
            key.material for key in part
        ]


async def test_rotation_keeps_every_key_and_destroys_the_old_version(bench: Bench) -> None:
    keys = await minted(bench, 2 * CHUNK + 17)
    await rotate(bench.pool, bench.keks, LOGISTICS)
    assert await states(bench) == {1: "destroyed", 2: "primary"}
    assert ("logistics", 1) not in bench.keks.provider.versions()
    await assert_all_open(bench, keys)


async def test_a_rotation_that_was_answered_is_carried_out_though_the_keyring_dies(bench: Bench) -> None:
    """The operator was told that it has begun; a process that is started later knows it from the database (T5)."""
    keys = await minted(bench, 3)
    dying = Chores(bench.settings, bench.storage, bench.keks)
    assert await dying.rotate(LOGISTICS) == [LOGISTICS]
    assert await dying.rotate(LOGISTICS) == [], "one at a time"
    assert await states(bench) == {1: "retiring", 2: "primary"}
    later = Chores(bench.settings, bench.storage, Keks(KekDirectory(bench.settings.kek_directory)))
    await later.start()
    async with asyncio.timeout(30):
        while await states(bench) != {1: "destroyed", 2: "primary"}:
            await asyncio.sleep(0.05)
    await later.stop()
    await assert_all_open(bench, keys)


async def test_other_categories_are_left_alone(bench: Bench) -> None:
    await rotate(bench.pool, bench.keks, LOGISTICS)
    versions = bench.keks.provider.versions()
    assert versions == {("logistics", 2), ("transaction", 1), ("accounting", 1), ("identity", 1)}


async def test_a_stale_copy_of_a_destroyed_key_is_noise_after_the_rotation(
    bench: Bench, tmp_path: Path
) -> None:
    """A thief who copied the database before the erasure reads it with that day's KEK, and with no later one."""
    (key,) = await minted(bench, 1)
    row = await bench.pool.fetchrow("SELECT wrapped, kek_version FROM data_key WHERE kid = $1", key.kid)
    kek_of_that_day = bench.keks.get(LOGISTICS, 1)
    bound = Bound(key.kid, key.ref, row["kek_version"])
    for event in (confirmed(key.ref), released(key.ref), destroy()):
        await bench.apply(key.ref.subject, event)
    assert kek_of_that_day.unwrap(row["wrapped"], bound) == key.material, "the attack is real"
    await rotate(bench.pool, bench.keks, LOGISTICS)
    for category, version in bench.keks.provider.versions():
        kek = bench.keks.provider.load(category, version)
        with pytest.raises(Exception, match="unwrapping-failed"):
            kek.unwrap(row["wrapped"], bound)
    with pytest.raises(ConfigurationError, match="kek-missing"):
        KekDirectory(bench.settings.kek_directory).load(LOGISTICS, 1)


async def test_minting_and_opening_go_on_during_rotations(bench: Bench) -> None:
    keys: list[NewKey] = []
    rotating = True

    async def traffic() -> None:
        while rotating:
            made = await minted(bench, 20)
            keys.extend(made)
            await assert_all_open(bench, made)

    async def rotations() -> None:
        nonlocal rotating
        for _ in range(8):
            await rotate(bench.pool, bench.keks, LOGISTICS)
        rotating = False

    await asyncio.gather(rotations(), traffic(), traffic())
    for _ in range(20):
        await resume(bench.pool, bench.keks, LOGISTICS)
    assert sorted((await states(bench)).values())[-1] == "primary"
    assert "retiring" not in (await states(bench)).values()
    assert len(keys) >= 20
    await assert_all_open(bench, keys)


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """Counts the statements and file operations of a rotation, and dies at the chosen one."""

    def __init__(self, dies_at: int, after: bool) -> None:
        self._left = dies_at
        self._after = after

    def around(self, owner: Any, name: str) -> Any:
        call = getattr(owner, name)

        async def asynchronous(*arguments: Any, **named: Any) -> Any:
            dying = self._step()
            if dying and not self._after:
                raise Killed
            answer = await call(*arguments, **named)
            if dying:
                raise Killed
            return answer

        def plain(*arguments: Any, **named: Any) -> Any:
            dying = self._step()
            if dying and not self._after:
                raise Killed
            answer = call(*arguments, **named)
            if dying:
                raise Killed
            return answer

        return asynchronous if asyncio.iscoroutinefunction(call) else plain

    def _step(self) -> bool:
        self._left -= 1
        return self._left == 0


def _mortal(monkeypatch: pytest.MonkeyPatch, bench: Bench, dies_at: int, after: bool) -> Mortal:
    mortal = Mortal(dies_at, after)
    for name in ("fetch", "fetchval", "execute"):
        original = getattr(asyncpg.Connection, name)

        def replacement(self: Any, *arguments: Any, _original: Any = original, **named: Any) -> Any:
            async def call(*given: Any, **more: Any) -> Any:
                return await _original(self, *given, **more)

            holder = type("Holder", (), {"call": staticmethod(call)})
            return mortal.around(holder, "call")(*arguments, **named)

        monkeypatch.setattr(asyncpg.Connection, name, replacement)
    for name in ("create", "destroy"):
        monkeypatch.setattr(
            bench.keks.provider, name, mortal.around(bench.keks.provider, name), raising=False
        )
    return mortal


def _deaths() -> Iterator[tuple[int, bool]]:
    return itertools.product(range(1, 40), (False, True))


async def test_a_rotation_killed_at_any_step_goes_on_at_the_next_start(bench: Bench) -> None:
    """Before and after every statement and every file operation, until a run survives them all."""
    keys, survived = await minted(bench, 30), 0
    for dies_at, after in _deaths():
        with pytest.MonkeyPatch.context() as monkeypatch:
            mortal = _mortal(monkeypatch, bench, dies_at, after)
            try:
                await rotate(bench.pool, bench.keks, LOGISTICS)
                survived += mortal._left > 0
            except Killed:
                pass
        # The next process: nothing in memory, the same directory and database.
        bench.keks = bench.service._keks = Keks(KekDirectory(bench.settings.kek_directory))
        await bench.pool.expire_connections()
        await ensure_primaries(bench.pool, bench.keks)
        await assert_all_open(bench, keys)
        await resume(bench.pool, bench.keks, LOGISTICS)
        assert set((await states(bench)).values()) <= {"primary", "destroyed"}
        assert list((await states(bench)).values()).count("primary") == 1
        await assert_all_open(bench, keys)
        if survived == 2:
            break
    assert survived == 2, "the list of steps is longer than expected"
    dead = [version for version, state in (await states(bench)).items() if state == "destroyed"]
    assert not {("logistics", version) for version in dead} & bench.keks.provider.versions()


async def test_two_instances_do_not_rotate_over_each_other(bench: Bench) -> None:
    keys = await minted(bench, 200)
    other = Keks(KekDirectory(bench.settings.kek_directory))
    await asyncio.gather(*(rotate(bench.pool, keks, LOGISTICS) for keks in (bench.keks, other) * 4))
    await resume(bench.pool, bench.keks, LOGISTICS)
    assert "retiring" not in (await states(bench)).values()
    await assert_all_open(bench, keys)


async def test_a_version_in_use_is_never_destroyed(bench: Bench) -> None:
    """A key whose row somebody else has locked is not wrapped anew: its version waits for the next time."""
    (key,) = await minted(bench, 1)
    async with bench.pool.acquire() as connection, connection.transaction():
        await connection.fetch("SELECT 1 FROM data_key WHERE kid = $1 FOR UPDATE", key.kid)
        await rotate(bench.pool, bench.keks, LOGISTICS)
        assert await states(bench) == {1: "retiring", 2: "primary"}
        assert not await begin(bench.pool, bench.keks, LOGISTICS), "one rotation after the other"
    await resume(bench.pool, bench.keks, LOGISTICS)
    assert await states(bench) == {1: "destroyed", 2: "primary"}
    await assert_all_open(bench, [key])


async def test_a_row_somebody_altered_stops_the_end_of_its_version_and_nothing_else(bench: Bench) -> None:
    keys = await minted(bench, 3)
    await bench.pool.execute("UPDATE data_key SET scope = $1 WHERE kid = $2", "0" * 32, keys[0].kid)
    await rotate(bench.pool, bench.keks, LOGISTICS)
    assert (await states(bench))[1] == "retiring"
    assert str((await bench.open(keys[0].kid))[0]) == "unwrapping-failed"
    await assert_all_open(bench, keys[1:])


async def test_a_destroyed_version_that_comes_back_is_destroyed_again(bench: Bench) -> None:
    """Somebody restored the directory from a backup."""
    path = next(bench.settings.kek_directory.glob("logistics.1.*"))
    saved = path.read_bytes()
    await rotate(bench.pool, bench.keks, LOGISTICS)
    path.write_bytes(saved)
    path.chmod(0o600)
    await resume(bench.pool, bench.keks, LOGISTICS)
    assert not path.exists()


async def test_a_lost_or_swapped_version_refuses_to_start(bench: Bench) -> None:
    path = next(bench.settings.kek_directory.glob("logistics.1.*"))
    path.write_bytes(bytes(32))
    with pytest.raises(ConfigurationError, match="kek-differs"):
        await ensure_primaries(bench.pool, Keks(KekDirectory(bench.settings.kek_directory)))
    path.unlink()
    with pytest.raises(ConfigurationError, match="kek-missing"):
        await ensure_primaries(bench.pool, Keks(KekDirectory(bench.settings.kek_directory)))


async def test_version_numbers_are_never_used_twice(bench: Bench) -> None:
    """A restored database forgets versions: the file of one that a lost row needs must not be overwritten."""
    bench.keks.provider.create(LOGISTICS, 2)
    await rotate(bench.pool, bench.keks, LOGISTICS)
    assert await states(bench) == {1: "destroyed", 3: "primary"}
