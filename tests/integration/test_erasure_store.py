"""The ledger of erasures in PostgreSQL and in its twin: the same promises."""

from pathlib import Path

import pytest

from services.erasure.app import MIGRATIONS
from services.erasure.store import SQL, MemoryErasures, PostgresErasures
from services.kernel.settings import WorkerSettings
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from tests.fixtures.database import settings_at
from tests.fixtures.erasures import SUBJECT, Ledger, held, keys_destroyed, receipt, requested

OTHER = "6" * 32


@pytest.fixture
async def postgres(platform):
    """A storage on a database of its own."""
    settings = settings_at(platform.new_database("erasure"), WorkerSettings)
    storage = PostgresStorage(settings, [MIGRATIONS])
    await storage.start()
    yield storage
    await storage.stop()


@pytest.fixture(params=["postgres", "memory"])
async def room(request, postgres):
    """Storage and store, the real ones and the twins."""
    twins = {"memory": (MemoryStorage(), MemoryErasures()), "postgres": (postgres, PostgresErasures())}
    return twins[request.param]


def incomplete() -> Ledger:
    """Return a ledger with everything in it that a state can hold."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.fold(requested(2))
    ledger.fold(keys_destroyed(requested().request, 1, (held(1),)))
    ledger.fold(receipt(requested().request, 1, "orders"))
    ledger.pass_time(31)
    return ledger


async def test_a_state_comes_back_as_it_was_stored(room):
    """A whole batch in one query, unknown subjects absent."""
    storage, store = room
    states = {SUBJECT: incomplete().state, OTHER: incomplete().state.model_copy(update={"request": "a" * 32})}
    async with storage.transaction("3") as tx:
        await store.save(tx, states)
    async with storage.transaction("3") as tx:
        assert await store.load(tx, [SUBJECT, OTHER, "7" * 32]) == states


async def test_a_later_state_replaces_the_earlier(room):
    """One row per subject."""
    storage, store = room
    ledger = incomplete()
    async with storage.transaction("3") as tx:
        await store.save(tx, {SUBJECT: ledger.state})
    ledger.fold(receipt(requested().request, 1, "carriers"))
    async with storage.transaction("3") as tx:
        await store.save(tx, {SUBJECT: ledger.state})
        assert await store.load(tx, [SUBJECT]) == {SUBJECT: ledger.state}


async def test_whom_requests_wait_for_can_be_asked_of_the_rows(postgres):
    """By owner, incomplete requests only."""
    async with postgres.transaction("3") as tx:
        await PostgresErasures().save(tx, {SUBJECT: incomplete().state})
    rows = await postgres.pool.fetch(SQL.incomplete)
    assert [(row["owner"], row["requests"]) for row in rows] == [("carriers", 1)]


def test_the_migrations_are_numbered():
    """They are applied in the order of their names."""
    assert [path.name[:4] for path in sorted(Path(MIGRATIONS).glob("*.sql"))] == ["001_"]
