"""One suite for the rows of insights: the twin in memory and PostgreSQL keep the same promises."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.clicks import Kind
from schemas.statistics import Listing
from services.insights.app import MIGRATIONS
from services.insights.desk import MOST_SESSIONS, SESSION, PostgresDesk
from services.insights.domain import KEEP, Count, Dropped, Ranking, Row, key_of
from services.insights.memory import MemoryDesk, MemoryPublished
from services.insights.settings import Settings
from services.insights.store import PublishedStore
from services.kernel.http.doorkeeper import digest_of
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from tests.fixtures.database import settings_at

TODAY = datetime.now(UTC).date().isoformat()
SHOP, OTHER = "bookshop", "shoeshop"
KNIFE = Count(SHOP, Kind.PRODUCT, TODAY, "Bread/knife 'π'", 40)
HOT = Ranking(SHOP, Listing.HOT, "", TODAY, (("Bread knife", 12.5), ("Egg timer", 0.1)))


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


@dataclass
class Rows:
    """A storage, and both sides of it."""

    storage: Any
    store: Any
    desk: Any

    async def save(self, *rows: Row) -> None:
        async with self.storage.transaction("0") as tx:
            await self.store.save(tx, {key_of(row): row for row in rows})

    async def load(self, *rows: Row) -> list[Row]:
        async with self.storage.transaction("0") as tx:
            found = await self.store.load(tx, [key_of(row) for row in rows])
        assert all(key == key_of(row) for key, row in found.items())
        return list(found.values())

    async def admit(self, storefront: str, token: str) -> None:
        if isinstance(self.desk, MemoryDesk):
            return self.desk.admit(storefront, token)
        statement = "INSERT INTO reader (id, token_sha256) VALUES ($1, $2)"
        await self.storage.pool.execute(statement, storefront, digest_of(token.encode()))

    async def revoke(self, storefront: str) -> None:
        if isinstance(self.desk, MemoryDesk):
            return self.desk.revoke(storefront)
        await self.storage.pool.execute("UPDATE reader SET revoked_at = now() WHERE id = $1", storefront)

    async def outlive(self, by: timedelta) -> None:
        """Let sessions be older than they are."""
        if isinstance(self.desk, MemoryDesk):
            now = self.desk._now
            self.desk._now = lambda: now() + by
        else:
            await self.storage.pool.execute("UPDATE session SET ends_at = ends_at - $1::interval", by)


@pytest.fixture(params=["memory", "postgres"])
async def rows(request: pytest.FixtureRequest) -> AsyncIterator[Rows]:
    if request.param == "memory":
        storage = MemoryStorage()
        yield Rows(storage, MemoryPublished(), MemoryDesk(storage))
        return
    dsn = request.getfixturevalue("platform").new_database("insights")
    real = PostgresStorage(settings_at(dsn, Settings), (MIGRATIONS,))
    await real.start()
    yield Rows(real, PublishedStore(), PostgresDesk(real))
    await real.stop()


async def test_what_was_saved_is_loaded_again(rows: Rows) -> None:
    """Of all three kinds at once, whatever a cell holds; what is not there is not told."""
    saved = [KNIFE, Dropped(SHOP, TODAY, 0), HOT, replace(HOT, listing=Listing.ALSO_VIEWED, of="count/a b")]
    await rows.save(*saved)
    absent = [replace(KNIFE, cell="x"), replace(HOT, of="x"), Dropped(OTHER, TODAY, 1)]
    assert sorted(await rows.load(*saved, *absent), key=key_of) == sorted(saved, key=key_of)


async def test_a_count_and_a_mass_stay_as_they_were_said_first(rows: Rows) -> None:
    """Also where two lanes did not see each other's rows."""
    mass = Dropped(SHOP, TODAY, 70)
    await rows.save(KNIFE, mass)
    await rows.save(replace(KNIFE, at_least=50), replace(mass, at_least=80))
    assert sorted(await rows.load(KNIFE, mass), key=key_of) == [KNIFE, mass]


async def test_a_list_that_knows_less_replaces_nothing(rows: Rows) -> None:
    """Also where two lanes did not see each other's rows."""
    await rows.save(HOT)
    await rows.save(replace(HOT, through=days_ago(1), items=(("old", 1.0),)))
    assert await rows.load(HOT) == [HOT]
    newer = replace(HOT, items=(("new", 1.0),))
    await rows.save(newer)
    assert await rows.load(HOT) == [newer]
    later = replace(HOT, through=f"{days_ago(-1)}T00", items=())
    await rows.save(later)
    assert await rows.load(HOT) == [later]


async def test_nothing_of_a_failed_transaction_stays(rows: Rows) -> None:
    with pytest.raises(RuntimeError):
        async with rows.storage.transaction("0") as tx:
            await rows.store.save(tx, {key_of(row): row for row in (KNIFE, HOT)})
            raise RuntimeError
    assert await rows.load(KNIFE, HOT) == []
    assert list(await rows.desk.windows(SHOP)) == []


async def test_the_greatest_counts_come_first_and_page_by_page(rows: Rows) -> None:
    """Equal ones in the order of their bytes: a page never tells what another told."""
    cells = ["b", "a", "Z", "é", "a b", "a-b", "ab"]
    await rows.save(
        *(replace(KNIFE, cell=cell, at_least=10) for cell in cells), replace(KNIFE, cell="most", at_least=30)
    )
    await rows.save(replace(KNIFE, storefront=OTHER), replace(KNIFE, kind=Kind.SEARCH, at_least=90))
    told = [each.cell for each in await rows.desk.most(SHOP, Kind.PRODUCT, TODAY, 100)]
    assert told == ["most", *sorted(cells, key=str.encode)]
    pages = [await rows.desk.most(SHOP, Kind.PRODUCT, TODAY, 3, skip) for skip in (0, 3, 6, 9)]
    assert [each.cell for page in pages for each in page] == told


async def test_windows_are_told_latest_first_and_once(rows: Rows) -> None:
    hour, day_before = f"{TODAY}T10", days_ago(1)
    await rows.save(
        *(replace(KNIFE, window=each, cell=cell) for each in (day_before, TODAY, hour) for cell in "ab")
    )
    await rows.save(
        replace(KNIFE, kind=Kind.DWELL, cell="a\tb"), replace(KNIFE, storefront=OTHER, window="2020-01-01")
    )
    found = [
        (Kind.DWELL, TODAY), (Kind.PRODUCT, TODAY), (Kind.PRODUCT, hour), (Kind.PRODUCT, day_before)
    ]  # fmt: skip
    assert list(await rows.desk.windows(SHOP)) == found


async def test_what_was_dropped_is_told_latest_day_first(rows: Rows) -> None:
    masses = [Dropped(SHOP, TODAY, 70), Dropped(SHOP, days_ago(1), 0)]
    await rows.save(*reversed(masses), Dropped(OTHER, TODAY, 10))
    assert await rows.desk.dropped(SHOP) == masses


async def test_a_list_is_found_by_shop_name_and_product(rows: Rows) -> None:
    of_knife = replace(HOT, listing=Listing.ALSO_VIEWED, of="Bread knife", items=())
    await rows.save(HOT, of_knife)
    assert await rows.desk.ranking(SHOP, Listing.HOT, "") == HOT
    assert await rows.desk.ranking(SHOP, Listing.ALSO_VIEWED, "Bread knife") == of_knife
    assert await rows.desk.ranking(SHOP, Listing.ALSO_VIEWED, "") is None
    assert await rows.desk.ranking(OTHER, Listing.HOT, "") is None


async def test_what_is_older_than_thirty_days_goes_and_nothing_else(rows: Rows) -> None:
    """By the end of its window."""
    old, last = days_ago(KEEP.days + 2), days_ago(KEEP.days - 1)
    for day in (old, last):
        await rows.save(replace(KNIFE, window=day), replace(KNIFE, window=f"{day}T23", cell="x"))
        await rows.save(Dropped(SHOP, day, 10), replace(HOT, of=day, through=day))
    assert await rows.desk.tidy() == 4
    kept = [
        replace(KNIFE, window=last), replace(KNIFE, window=f"{last}T23", cell="x"), Dropped(SHOP, last, 10),
        replace(HOT, of=last, through=last),
    ]  # fmt: skip
    gone = [replace(KNIFE, window=old), Dropped(SHOP, old, 10), replace(HOT, of=old)]
    assert sorted(await rows.load(*kept, *gone), key=key_of) == sorted(kept, key=key_of)
    assert {window[:10] for _, window in await rows.desk.windows(SHOP)} == {last}
    assert await rows.desk.tidy() == 0


async def test_tokens_are_found_by_digest_until_revoked(rows: Rows) -> None:
    await rows.admit(SHOP, "one")
    await rows.admit(OTHER, "two")
    assert dict(await rows.desk.tokens()) == {digest_of(b"one"): SHOP, digest_of(b"two"): OTHER}
    await rows.revoke(OTHER)
    assert dict(await rows.desk.tokens()) == {digest_of(b"one"): SHOP}


async def test_a_session_lives_with_its_token_until_its_end(rows: Rows) -> None:
    await rows.admit(SHOP, "one")
    session, other = digest_of(b"s"), digest_of(b"t")
    assert not await rows.desk.sign_in(session, digest_of(b"wrong"))
    assert await rows.desk.sign_in(session, digest_of(b"one"))
    assert await rows.desk.sign_in(other, digest_of(b"one"))
    assert dict(await rows.desk.sessions()) == {session: SHOP, other: SHOP}
    await rows.desk.sign_out(other)
    assert dict(await rows.desk.sessions()) == {session: SHOP}
    await rows.revoke(SHOP)
    assert dict(await rows.desk.sessions()) == {}
    assert not await rows.desk.sign_in(other, digest_of(b"one"))


async def test_a_session_ends_by_itself_and_is_then_removed(rows: Rows) -> None:
    await rows.admit(SHOP, "one")
    await rows.desk.sign_in(digest_of(b"s"), digest_of(b"one"))
    await rows.outlive(SESSION - timedelta(seconds=30))
    assert await rows.desk.tidy() == 0 and len(await rows.desk.sessions()) == 1
    await rows.outlive(timedelta(seconds=31))
    assert len(await rows.desk.sessions()) == 0
    assert await rows.desk.tidy() == 0


async def test_of_one_token_no_more_than_so_many_sessions_live(rows: Rows) -> None:
    await rows.admit(SHOP, "one")
    await rows.admit(OTHER, "two")
    await rows.desk.sign_in(digest_of(b"theirs"), digest_of(b"two"))
    for number in range(MOST_SESSIONS + 2):
        await rows.desk.sign_in(digest_of(b"%d" % number), digest_of(b"one"))
    living = await rows.desk.sessions()
    assert len(living) == MOST_SESSIONS + 1 and digest_of(b"theirs") in living
    assert digest_of(b"1") not in living and digest_of(b"2") in living
