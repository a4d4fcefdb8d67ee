"""What the HTTP side asks of the rows, outside the loop."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import asyncpg

from schemas.clicks import Kind
from schemas.statistics import Listing
from services.insights.domain import KEEP, Count, Dropped, Ranking
from services.insights.store import SQL, count_of, dropped_of, ranking_of
from services.kernel.storage.postgres import DRIVER_ERRORS, PostgresStorage, translate

READ_SECONDS = 3.0
SESSION = timedelta(hours=12)
"""How long who signed in stays in."""
MOST_SESSIONS = 50
"""Living sessions of one token; the oldest gives way."""

Windows = Sequence[tuple[Kind, str]]


class Desk(Protocol):
    """Reads what was published, and knows who may read it; raises `StoreUnavailable`."""

    async def tokens(self) -> Mapping[bytes, str]:
        """Return storefronts by the digest of their reading token, without revoked ones."""

    async def sessions(self) -> Mapping[bytes, str]:
        """Return storefronts by the digest of a living session, without those whose token was revoked."""

    async def sign_in(self, session: bytes, token: bytes) -> bool:
        """Store a session for a token, by their digests; say whether the token is good."""

    async def sign_out(self, session: bytes) -> None:
        """Forget a session."""

    async def ranking(self, storefront: str, listing: Listing, of: str) -> Ranking | None:
        """Return a list."""

    async def windows(self, storefront: str) -> Windows:
        """Return of which windows anything is kept, the latest first."""

    async def most(self, storefront: str, kind: Kind, window: str, limit: int, skip: int = 0) -> list[Count]:
        """Return the greatest counts of a window, in one order that never changes."""

    async def dropped(self, storefront: str) -> list[Dropped]:
        """Return what was dropped, the latest day first."""

    async def tidy(self) -> int:
        """Remove what is older than it may be by the database's clock; return how many rows were published ones."""


class PostgresDesk:
    """The real one."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage

    async def tokens(self) -> Mapping[bytes, str]:
        return {row["token_sha256"]: row["id"] for row in await self._fetch(SQL.tokens)}

    async def sessions(self) -> Mapping[bytes, str]:
        return {row["session_sha256"]: row["id"] for row in await self._fetch(SQL.sessions)}

    async def sign_in(self, session: bytes, token: bytes) -> bool:
        return bool(await self._fetch(SQL.sign_in, session, token, SESSION, MOST_SESSIONS))

    async def sign_out(self, session: bytes) -> None:
        await self._fetch(SQL.sign_out, session)

    async def ranking(self, storefront: str, listing: Listing, of: str) -> Ranking | None:
        rows = await self._fetch(SQL.ranking, storefront, listing, of)
        return ranking_of(rows[0]) if rows else None

    async def windows(self, storefront: str) -> Windows:
        return [(Kind(row["kind"]), row["during"]) for row in await self._fetch(SQL.windows, storefront)]

    async def most(self, storefront: str, kind: Kind, window: str, limit: int, skip: int = 0) -> list[Count]:
        return [count_of(row) for row in await self._fetch(SQL.most, storefront, kind, window, limit, skip)]

    async def dropped(self, storefront: str) -> list[Dropped]:
        return [dropped_of(row) for row in await self._fetch(SQL.days_dropped, storefront)]

    async def tidy(self) -> int:
        return int((await self._fetch(SQL.tidy, KEEP))[0]["removed"])

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            return await self._storage.pool.fetch(statement, *arguments, timeout=READ_SECONDS)
        except DRIVER_ERRORS as error:
            raise translate(error) from None
