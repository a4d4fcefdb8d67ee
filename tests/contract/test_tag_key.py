"""One suite for the keyring and its twin: the key that tags are made under, for a day at most (C3)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.kernel.errors import ConfigurationError, KeyringUnavailable
from services.kernel.sealing.memory import MemoryVault
from services.keyring.settings import Settings
from services.keyring.tag_key import destroy_dead_tag_key
from tests.fixtures.keyring import Bench, settings_for


class HandClock:
    """Stands where it was put."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass
class Both:
    """Whichever keyring the suite runs on."""

    subject_of: Any

    def principal(self, name: str) -> Any:
        return self.subject_of.principal(name)

    async def lose(self) -> None:
        """Lose the key, as a crash of the database does."""
        if isinstance(self.subject_of, Bench):
            await self.subject_of.pool.execute("TRUNCATE tag_key")
        else:
            self.subject_of.lose_tag_key()

    async def pass_midnight(self) -> None:
        """Let the time of the key's death pass."""
        if isinstance(self.subject_of, Bench):
            await self.subject_of.pool.execute("UPDATE tag_key SET dies_at = clock_timestamp()")
        else:
            self.subject_of.clock.at += timedelta(hours=2)

    async def seconds_to_midnight(self) -> float:
        """Return how long the day still is."""
        if isinstance(self.subject_of, Bench):
            now: datetime = await self.subject_of.pool.fetchval("SELECT clock_timestamp()")
        else:
            now = self.subject_of.clock.now()
        now = now.astimezone(UTC)
        return (
            now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now
        ).total_seconds()


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    dsn = request.getfixturevalue("platform").new_database()
    return settings_for(dsn, tmp_path_factory.mktemp("keyring"))


@pytest.fixture(params=["twin", "service"])
async def keyring(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "twin":
        yield Both(MemoryVault(HandClock()))
        return
    async with Bench(request.getfixturevalue("settings")) as bench:
        await bench.pool.execute("TRUNCATE tag_key")
        yield Both(bench)


async def test_all_gateways_tag_under_one_key(keyring: Both) -> None:
    """Or one visitor would be counted once per gateway."""
    gateway = keyring.principal("gateway")
    keys = await asyncio.gather(*(gateway.tag_key() for _ in range(10)))
    assert len({key.number for key in keys}) == 1
    assert len({key.mac(b"somebody") for key in keys}) == 1
    assert keys[0].mac(b"somebody") != keys[0].mac(b"somebody else")


async def test_it_dies_at_midnight(keyring: Both) -> None:
    before = await keyring.seconds_to_midnight()
    key = await keyring.principal("gateway").tag_key()
    assert 0 < key.dies_in_seconds <= 86_400
    assert key.dies_in_seconds == pytest.approx(before, abs=5)


async def test_the_next_one_has_a_higher_number_and_makes_other_tags(keyring: Both) -> None:
    """Whether it died or was lost: two keys never go by one number."""
    gateway = keyring.principal("gateway")
    numbers, made = [], set()
    for pass_away in (keyring.lose, keyring.pass_midnight, keyring.lose):
        key = await gateway.tag_key()
        numbers.append(key.number)
        made.add(key.mac(b"somebody"))
        await pass_away()
    assert numbers == sorted(set(numbers)) and len(made) == 3


@pytest.mark.parametrize("principal", ["orders", "carriers", "erasure", "operator"])
async def test_nobody_but_the_gateway_has_it(keyring: Both, principal: str) -> None:
    """Not even the worker that counts the tags."""
    with pytest.raises(ConfigurationError):
        await keyring.principal(principal).tag_key()


async def test_no_keyring_no_key(keyring: Both) -> None:
    if isinstance(keyring.subject_of, Bench):
        keyring.subject_of.ready = False
    else:
        keyring.subject_of.away = True
    with pytest.raises(KeyringUnavailable):
        await keyring.principal("gateway").tag_key()


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    async with Bench(settings) as bench:
        await bench.pool.execute("TRUNCATE tag_key")
        yield bench


async def test_a_restored_sequence_repeats_no_number(bench: Bench) -> None:
    """A number that came back with another key would make two visitors of one, and cross the crowd's size."""
    gateway = bench.principal("gateway")
    seen = set()
    for _ in range(3):
        await bench.pool.execute("SELECT setval('tag_key_number', 7)")
        seen.add((await gateway.tag_key()).number)
        await bench.pool.execute("TRUNCATE tag_key")
    assert len(seen) == 3


async def test_a_living_key_is_not_destroyed_and_a_dead_one_is(bench: Bench) -> None:
    await bench.principal("gateway").tag_key()
    assert not await destroy_dead_tag_key(bench.pool)
    assert await bench.pool.fetchval("SELECT count(*) FROM tag_key") == 1
    file = "SELECT pg_relation_filenode('tag_key')"
    before = await bench.pool.fetchval(file)
    await bench.pool.execute("UPDATE tag_key SET dies_at = clock_timestamp()")
    assert await destroy_dead_tag_key(bench.pool)
    assert await bench.pool.fetchval("SELECT count(*) FROM tag_key") == 0
    assert await bench.pool.fetchval(file) != before


async def test_who_comes_late_to_destroy_it_spares_the_next_one(bench: Bench) -> None:
    """Two keyrings see a dead key; one is asked meanwhile and has made another."""
    await bench.principal("gateway").tag_key()
    await bench.pool.execute("UPDATE tag_key SET dies_at = clock_timestamp()")
    async with bench.pool.acquire() as other, other.transaction():
        # Lets the late one see that the key is dead, and holds back its lock.
        await other.execute("LOCK TABLE tag_key IN ROW EXCLUSIVE MODE")
        late = asyncio.create_task(destroy_dead_tag_key(bench.pool))
        await asyncio.sleep(0.2)
        await other.execute("UPDATE tag_key SET dies_at = clock_timestamp() + interval '1 hour'")
    assert not await late
    assert await bench.pool.fetchval("SELECT count(*) FROM tag_key") == 1


async def test_it_is_written_to_no_log_of_changes(bench: Bench) -> None:
    """Unlogged: neither a standby nor an archive nor a base backup can have it; and one row at most."""
    kind = await bench.pool.fetchval("SELECT relpersistence FROM pg_class WHERE oid = 'tag_key'::regclass")
    assert kind == b"u"
    await bench.principal("gateway").tag_key()
    with pytest.raises(Exception, match="tag_key"):
        await bench.pool.execute(
            "INSERT INTO tag_key (number, material, dies_at) SELECT 1, material, dies_at FROM tag_key"
        )
