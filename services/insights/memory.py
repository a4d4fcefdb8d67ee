"""In-memory twins of the rows of insights, for tests that need no database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from schemas.clicks import Kind
from schemas.statistics import Listing
from services.insights.desk import MOST_SESSIONS, SESSION, Windows
from services.insights.domain import KEEP, Count, Dropped, Ranking, Row, end_of, key_of, window_of
from services.kernel.errors import StoreUnavailable
from services.kernel.http.doorkeeper import digest_of
from services.kernel.storage.interface import Transaction
from services.kernel.storage.memory import MemoryStorage

Kept = TypeVar("Kept", Count, Dropped, Ranking)


class MemoryPublished:
    """Twin of `PublishedStore`."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows that exist."""
        rows = tx.connection["published"]
        return {key: rows[key] for key in keys if key in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Row]) -> None:
        """Insert what is new; replace lists that know no more than these."""
        rows = tx.connection["published"]
        for key, row in states.items():
            before = rows.get(key, row)
            if not isinstance(row, Ranking):
                rows[key] = before
            elif end_of(row.through) >= end_of(before.through):
                rows[key] = row


class MemoryDesk:
    """Twin of `PostgresDesk`, on the tables of a `MemoryStorage`."""

    def __init__(
        self, storage: MemoryStorage, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._storage = storage
        self._now = now
        self._readers: dict[bytes, str] = {}
        self._sessions: dict[bytes, tuple[bytes, datetime]] = {}
        self.away = False
        """True: the database cannot be reached."""
        self.readings = 0
        """How often published rows were asked for."""

    def admit(self, storefront: str, token: str) -> None:
        """Let a shop read."""
        self._readers[digest_of(token.encode())] = storefront

    def revoke(self, storefront: str) -> None:
        """Forget its token."""
        self._readers = {digest: name for digest, name in self._readers.items() if name != storefront}

    def publish(self, *rows: Row) -> None:
        """Store rows as if the loop had."""
        self._storage.tables.worker["published"].update({key_of(row): row for row in rows})

    async def tokens(self) -> Mapping[bytes, str]:
        self._check()
        return dict(self._readers)

    async def sessions(self) -> Mapping[bytes, str]:
        self._check()
        return {
            session: self._readers[token]
            for session, (token, ends_at) in self._sessions.items()
            if token in self._readers and ends_at > self._now()
        }

    async def sign_in(self, session: bytes, token: bytes) -> bool:
        self._check()
        if token not in self._readers:
            return False
        mine = sorted((ends, each) for each, (owner, ends) in self._sessions.items() if owner == token)
        for _, each in mine[: max(0, len(mine) - MOST_SESSIONS + 1)]:
            del self._sessions[each]
        self._sessions[session] = (token, self._now() + SESSION)
        return True

    async def sign_out(self, session: bytes) -> None:
        self._check()
        self._sessions.pop(session, None)

    async def ranking(self, storefront: str, listing: Listing, of: str) -> Ranking | None:
        self._read()
        found = self._rows(Ranking, storefront)
        return next((each for each in found if (each.listing, each.of) == (listing, of)), None)

    async def windows(self, storefront: str) -> Windows:
        self._read()
        found = {(each.kind, each.window) for each in self._rows(Count, storefront)}
        by_kind = sorted(found, key=lambda each: each[0])
        return sorted(by_kind, key=lambda each: (end_of(each[1]), each[1]), reverse=True)

    async def most(self, storefront: str, kind: Kind, window: str, limit: int, skip: int = 0) -> list[Count]:
        self._read()
        found = [each for each in self._rows(Count, storefront) if (each.kind, each.window) == (kind, window)]
        found.sort(key=lambda each: (-each.at_least, each.cell.encode()))
        return found[skip : skip + limit]

    async def dropped(self, storefront: str) -> list[Dropped]:
        self._read()
        return sorted(self._rows(Dropped, storefront), key=lambda each: each.day, reverse=True)

    async def tidy(self) -> int:
        self._check()
        rows = self._storage.tables.worker["published"]
        old = [key for key, row in rows.items() if end_of(window_of(row)) < self._now() - KEEP]
        for key in old:
            del rows[key]
        self._sessions = {each: kept for each, kept in self._sessions.items() if kept[1] >= self._now()}
        return len(old)

    def _rows(self, kind: type[Kept], storefront: str) -> Iterator[Kept]:
        for row in self._storage.tables.worker["published"].values():
            if isinstance(row, kind) and row.storefront == storefront:
                yield row

    def _read(self) -> None:
        self._check()
        self.readings += 1

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
