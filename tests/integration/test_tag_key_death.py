"""After its death the tag key is nowhere on the disks: yesterday's tags cannot be made again (C3).

Searched is the whole state of a running platform (heap files of old relations included, WAL, temporary files, both
clusters, Kafka's log, logs) and base backups taken while the key lived. Not searched: memory, blocks of the disk
that a file no longer has, and a platform that stays stopped over midnight, whose file dies at its next start.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local import stack
from schemas.clicks import CellsSeen, Kind
from schemas.topics import CLICKS
from services.gateway.behind import Behind
from services.gateway.clicks.anonymiser import Anonymiser, Mixing
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.gateway.clicks.tags import Visitor
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.clock import SystemClock
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.tagging import TagKey
from services.kernel.settings import WorkerSettings
from services.scan.files import search_files
from services.scan.needles import Match, Matcher, Searcher, aligned
from tests.faults.backups import Backup
from tests.fixtures import evidence
from tests.fixtures.keyring import SHOP, new_ref
from tests.fixtures.platform import temporary_state

pytestmark = pytest.mark.slow
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SITE = Site(storefront=SHOP, origins=("https://shop.example",), routes=("/", "/p/{item}"))
VISITORS = [f"198.51.100.{number}" for number in range(12)]
WAIT_SECONDS = 30.0


class KeyBytes(Searcher):
    """Finds 32 bytes as they are, in hexadecimal, and in base64 at any place of a longer text; halves count, too."""

    def __init__(self, key: bytes) -> None:
        self._patterns: dict[bytes, str] = {}
        for part in (key, key[:16], key[16:]):
            self._patterns[part] = "raw"
            self._patterns[part[::-1]] = "raw"
            self._patterns[part.hex().encode()] = self._patterns[part.hex().upper().encode()] = "hex"
            for start in range(3):
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    self._patterns[aligned(encode(b"\0" * start + part), start, len(part))] = "base64"

    def matches(self, data: bytes, start: int = 0) -> Iterator[Match]:
        for pattern, form in self._patterns.items():
            at = data.find(pattern)
            if at >= 0:
                yield Match(0, form, start + at)

    def rest(self, window: bytes) -> bytes:
        return window[-128:]


class World:
    """A platform whose only worker is the keyring; the test plays the gateway."""

    def __init__(self, running: stack.Stack) -> None:
        self.stack = running

    @property
    def gateway(self) -> HttpKeyring:
        return HttpKeyring(self.stack.keyring_url, self.stack.keyring_token("gateway"))

    async def number(self) -> int:
        """Return the number of the key that lives now, made if there is none."""
        keyring = self.gateway
        try:
            return (await keyring.tag_key()).number
        finally:
            await keyring.close()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """The keyring's database, as its super user."""
        connection = await asyncpg.connect(self.stack.admin_dsn("keyring", "keyring"))
        try:
            yield connection
        finally:
            await connection.close()

    async def ask(self, question: str) -> Any:
        async with self.database() as database:
            return await database.fetchval(question)

    async def key(self) -> bytes:
        """Return the key's bytes, as only a test may."""
        return bytes(await self.ask("SELECT material FROM keyring.tag_key"))

    async def file(self) -> Path:
        """Return the file that the key is in."""
        name = await self.ask("SELECT pg_relation_filepath('keyring.tag_key')")
        return self.stack.layout.cluster("keyring") / name

    async def write_out(self) -> None:
        """Have everything written to files, unlogged relations as well, which a mere checkpoint leaves in memory.

        The copy of files that makes a database so is the only command of PostgreSQL 18 that does it.
        """
        async with self.database() as database:
            await database.execute("CREATE DATABASE written_out TEMPLATE template0 STRATEGY file_copy")
            await database.execute("DROP DATABASE written_out")

    async def grow_old(self) -> None:
        """Let the midnight of the key come."""
        async with self.database() as database:
            await database.execute("UPDATE keyring.tag_key SET dies_at = clock_timestamp()")

    async def gone(self) -> None:
        """Return when the keyring has destroyed the key."""
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.ask("SELECT count(*) FROM keyring.tag_key"):
                await asyncio.sleep(0.1)

    async def kid(self) -> str:
        """Return the id of a new data key: something of the keyring's that stays on the disk."""
        keyring = self.gateway
        try:
            return (await keyring.mint(SHOP, [new_ref()])).keys[0].kid
        finally:
            await keyring.close()

    def found(self, what: Searcher, folder: Path | None = None) -> set[Path]:
        """Return the files of the platform, or of a folder, in which something is."""
        where = folder or self.stack.state
        findings = search_files(where, what)
        assert findings.undecoded == []
        return {where / find.where.partition("@")[0].partition(" ")[0] for find in findings.finds}


@pytest.fixture(scope="module")
def running() -> Iterator[stack.Stack]:
    with temporary_state() as state:
        yield stack.start(state, only=("keyring",))


@pytest.fixture
async def world(running: stack.Stack) -> World:
    stack.start(running.state, only=("keyring",))
    world = World(running)
    async with world.database() as database:
        await database.execute("TRUNCATE keyring.tag_key")
    return world


async def visited(world: World) -> list[CellsSeen]:
    """Let visitors see a page, through the real keyring and Kafka; return what is on the topic since."""
    login = world.stack.credentials("gateway")
    settings = WorkerSettings(
        principal="gateway", instance="gateway-1", kafka=world.stack.kafka, kafka_password=login.password,
        database_port=1, database_name="-", database_password="-",
    )  # fmt: skip
    since = evidence.marks(world.stack)
    broker, keyring = KafkaBroker(settings), world.gateway
    producer = broker.producer()
    behind = Behind(keyring, producer)
    anonymiser = Anonymiser(keyring, behind, SystemClock(), Mixing(crowd=5), "1")
    await producer.start()
    await anonymiser.start()
    async with asyncio.timeout(WAIT_SECONDS):
        while not anonymiser.ready:
            await asyncio.sleep(0.05)
    for address in VISITORS:
        anonymiser.take(SITE, address, AGENT, [Page("/p/X-1", "/", term="red shoes")])
    await anonymiser.stop()
    for end in (behind.close, producer.stop, keyring.close, broker.stop):
        await end()
    entries = evidence.read(world.stack, [CLICKS.name], since)
    for entry in entries:
        hour = datetime.fromisoformat(entry.headers["ce_time"])
        assert entry.time_ms == hour.timestamp() * 1_000 and (hour.minute, hour.second) == (0, 0)
    return [CellsSeen.model_validate_json(entry.value or b"") for entry in entries]


def tags_again(key: bytes, events: Sequence[CellsSeen]) -> int:
    """Return how many of the tags of one known visitor, whose search is known, a key makes again."""
    visitor = Visitor(TagKey(1, key, 60.0, SystemClock()), SHOP, VISITORS[3], AGENT)
    seen = [cell for event in events for cell in event.cells if cell.kind is Kind.SEARCH]
    return sum(cell.tag == visitor.tag(cell.kind, cell.window, "red shoes") for cell in seen)


async def test_after_its_death_the_key_is_nowhere_on_the_disks(world: World, tmp_path: Path) -> None:
    """And while it lived it was in one file only: in no log of changes, no backup, no topic."""
    events, kid = await visited(world), await world.kid()
    key, file, number = await world.key(), await world.file(), await world.number()
    assert {event.key for event in events} == {number}
    assert tags_again(key, events) == 1 and tags_again(bytes(32), events) == 0
    await world.write_out()
    assert world.found(KeyBytes(key)) == {file}

    for cluster in ("keyring", "data"):
        Backup.take(world.stack, cluster, tmp_path)
    assert world.found(Matcher([kid]), tmp_path) != set()
    assert world.found(KeyBytes(key), tmp_path) == set()

    await world.grow_old()
    await world.gone()
    # Before and after a checkpoint, which removes the file by name.
    assert world.found(KeyBytes(key)) == set()
    assert not file.exists() or file.stat().st_size == 0
    await world.write_out()
    assert world.found(KeyBytes(key)) == set() != world.found(Matcher([kid]))
    assert await world.number() > number
    assert tags_again(await world.key(), events) == 0


async def test_a_crash_of_the_database_loses_it(world: World) -> None:
    """The next one has a higher number, and of the lost one nothing is left."""
    number, key = await world.number(), await world.key()
    await world.write_out()
    assert world.found(KeyBytes(key)) != set()
    world.stack.kill("keyring-1")
    world.stack.kill("postgres-keyring")
    await asyncio.sleep(1)
    stack.start(world.stack.state, only=("keyring",))
    assert await world.number() > number
    await world.write_out()
    assert world.found(KeyBytes(key)) == set() != world.found(KeyBytes(await world.key()))


async def test_one_that_died_while_no_keyring_ran_is_gone_before_anybody_is_served(world: World) -> None:
    """Until then it lies in its file: who stops a platform over midnight keeps the key as long as it is stopped."""
    await world.number()
    key = await world.key()
    world.stack.stop_worker("keyring")
    await world.grow_old()
    await world.write_out()
    assert world.found(KeyBytes(key)) == {await world.file()}
    stack.start(world.stack.state, only=("keyring",))
    assert await world.ask("SELECT count(*) FROM keyring.tag_key") == 0
    assert world.found(KeyBytes(key)) == set()
