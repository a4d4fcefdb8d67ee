"""One suite for the gateway's rows: the twin in memory and PostgreSQL keep the same promises."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from schemas.erasure import CertificateIssued, RequestProgressed, RequestState
from services.gateway.app import MIGRATIONS
from services.gateway.clicks.site import Site
from services.gateway.domain import Kept, Request, decide
from services.gateway.memory import MemoryDesk, MemoryRequestStore
from services.gateway.settings import Settings
from services.gateway.store import PostgresDesk, RequestStore
from services.kernel.decision import Given
from services.kernel.http.doorkeeper import digest_of
from services.kernel.ids import random_id
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from tests.unit.clicks_door import SITE

WHEN = datetime(2026, 11, 23, 10, 17, 31, 250_000, tzinfo=UTC)


@dataclass
class Rows:
    """A storage, and both sides of it."""

    storage: Any
    desk: Any
    store: Any

    async def admit(self, storefront: str, token: str) -> None:
        if isinstance(self.desk, MemoryDesk):
            return self.desk.admit(storefront, token)
        await self.storage.pool.execute(
            "INSERT INTO storefront (id, token_sha256) VALUES ($1, $2)", storefront, digest_of(token.encode())
        )

    async def put(self, site: Site) -> None:
        if isinstance(self.desk, MemoryDesk):
            return self.desk.put(site)
        await self.storage.pool.execute(
            "INSERT INTO site (storefront, document) VALUES ($1, $2) ON CONFLICT (storefront) DO UPDATE"
            " SET version = nextval('site_version'), document = excluded.document",
            site.storefront, site.model_dump_json(),
        )  # fmt: skip

    async def revoke(self, storefront: str) -> None:
        if isinstance(self.desk, MemoryDesk):
            return self.desk.revoke(storefront)
        await self.storage.pool.execute("UPDATE storefront SET revoked_at = now() WHERE id = $1", storefront)


@pytest.fixture(params=["memory", "postgres"])
async def rows(request: pytest.FixtureRequest) -> AsyncIterator[Rows]:
    if request.param == "memory":
        storage = MemoryStorage()
        yield Rows(storage, MemoryDesk(storage), MemoryRequestStore())
        return
    login = urlsplit(request.getfixturevalue("platform").new_database("gateway"))
    settings = Settings(
        principal=login.username, instance="test", kafka="-", kafka_password="-", database_host=login.hostname,
        database_port=login.port, database_name=login.path[1:], database_password=login.password,
    )  # fmt: skip
    real = PostgresStorage(settings, (MIGRATIONS,))
    await real.start()
    yield Rows(real, PostgresDesk(real), RequestStore())
    await real.stop()


def new(storefront: str = "bookshop") -> Request:
    return Request(random_id(), storefront, "c" * 43)


async def test_tokens_are_found_by_digest_until_revoked(rows: Rows) -> None:
    await rows.admit("bookshop", "one")
    await rows.admit("shoeshop", "two")
    assert dict(await rows.desk.tokens()) == {digest_of(b"one"): "bookshop", digest_of(b"two"): "shoeshop"}
    await rows.revoke("shoeshop")
    assert dict(await rows.desk.tokens()) == {digest_of(b"one"): "bookshop"}


async def test_a_site_is_told_once_for_each_version(rows: Rows) -> None:
    assert list(await rows.desk.sites([])) == []
    await rows.put(SITE)
    await rows.put(SITE.model_copy(update={"storefront": "shoeshop"}))
    told = {row.storefront: row for row in await rows.desk.sites([])}
    assert Site.model_validate_json(told[SITE.storefront].document) == SITE
    known = [row.version for row in told.values()]
    assert {row.document for row in await rows.desk.sites(known)} == {None}
    changed = SITE.model_copy(update={"origins": ("https://new.example",)})
    await rows.put(changed)
    again = {row.storefront: row for row in await rows.desk.sites(known)}
    assert again["shoeshop"].document is None
    assert Site.model_validate_json(again[SITE.storefront].document) == changed
    assert again[SITE.storefront].version not in known


async def test_the_first_request_of_an_id_stays(rows: Rows) -> None:
    first = new()
    assert await rows.desk.receive(first) == first
    assert await rows.desk.receive(replace(first, storefront="shoeshop")) == first
    assert await rows.desk.find(first.id) == first
    assert await rows.desk.find(random_id()) is None


async def test_what_is_saved_is_loaded_whole(rows: Rows) -> None:
    asked, other = new(), new()
    for each in (asked, other):
        await rows.desk.receive(each)
    known = replace(
        asked, state="incomplete", round=3, joined=random_id(), missing=("orders", "carriers"), missing_since=WHEN,
        kept=(Kept("accounting", "statutory", WHEN, 2), Kept("logistics", "open-order", None, 1)),
        unreadable_at=WHEN, certificate="a.b.c", seen=("1", "2"),
    )  # fmt: skip
    async with rows.storage.transaction("0") as tx:
        assert await rows.store.load(tx, [asked.id, random_id()]) == {asked.id: asked}
        await rows.store.save(tx, {known.id: known})
    async with rows.storage.transaction("0") as tx:
        assert await rows.store.load(tx, [asked.id, other.id]) == {asked.id: known, other.id: other}
    assert await rows.desk.find(asked.id) == known


async def test_nothing_of_a_failed_transaction_stays(rows: Rows) -> None:
    asked = await rows.desk.receive(new())
    with pytest.raises(RuntimeError):
        async with rows.storage.transaction("0") as tx:
            await rows.store.save(tx, {asked.id: replace(asked, state="certified")})
            raise RuntimeError
    assert await rows.desk.find(asked.id) == asked


async def test_a_request_folded_through_the_database_is_the_one_folded_in_memory(rows: Rows) -> None:
    asked = await rows.desk.receive(new())
    state: Request = asked
    events = [
        RequestProgressed(request=asked.id, state=RequestState.DESTROYED, round=1, unreadable_at=WHEN),
        CertificateIssued(request=asked.id, round=1, certificate="a.b.c"),
    ]
    for number, event in enumerate(events):
        given = Given(str(number), "s", "/erasure", WHEN, "f")
        state = decide(state, event, given).state
        async with rows.storage.transaction("0") as tx:
            loaded = (await rows.store.load(tx, [asked.id]))[asked.id]
            await rows.store.save(tx, {asked.id: decide(loaded, event, given).state})
    assert await rows.desk.find(asked.id) == state


async def test_a_request_that_the_database_has_forgotten_is_inserted(rows: Rows) -> None:
    """A restored database hears of it from the gateway's own topic."""
    asked = Request(
        "a" * 32, "shop", "c" * 43, state="certified", round=2, certificate="signed", seen=("1", "2")
    )
    async with rows.storage.transaction("3") as tx:
        await rows.store.save(tx, {asked.id: asked})
    assert await rows.desk.find(asked.id) == asked
