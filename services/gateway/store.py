"""The gateway's rows: storefronts, their sites and erasure requests. `memory.py` is the twin."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import asyncpg
import orjson
from pydantic import TypeAdapter

from services.gateway.clicks.sites import SiteRow
from services.gateway.domain import Request
from services.kernel.storage import queries
from services.kernel.storage.interface import Transaction
from services.kernel.storage.postgres import DRIVER_ERRORS, PostgresStorage, translate

SQL = queries.beside(__file__)
READ_SECONDS = 3.0

_REQUEST = TypeAdapter(Request)
_PROGRESS = {"round", "joined", "missing", "missing_since", "kept", "unreadable_at"}


class Desk(Protocol):
    """What the HTTP side reads and writes, outside the worker loop; raises `StoreUnavailable`."""

    async def tokens(self) -> Mapping[bytes, str]:
        """Return storefront ids by the digest of their token, without revoked ones."""

    async def sites(self, known: Collection[int]) -> Sequence[SiteRow]:
        """Return what shops say of their pages, without the documents of the versions that are known."""

    async def receive(self, request: Request) -> Request:
        """Store a new request; return the stored one, which may be an earlier one of the same id."""

    async def find(self, request: str) -> Request | None:
        """Return a request."""


class PostgresDesk:
    """The real one; a new request is a row that no lane knows yet, so it needs no lane's lock."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage

    async def tokens(self) -> Mapping[bytes, str]:
        return {row["token_sha256"]: row["id"] for row in await self._fetch(SQL.storefronts)}

    async def sites(self, known: Collection[int]) -> Sequence[SiteRow]:
        return [SiteRow(*row) for row in await self._fetch(SQL.sites, known)]

    async def receive(self, request: Request) -> Request:
        await self._fetch(SQL.receive, request.id, request.storefront, request.commitment)
        return await self.find(request.id) or request

    async def find(self, request: str) -> Request | None:
        rows = await self._fetch(SQL.requests, [request])
        return _read(rows[0]) if rows else None

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            return await self._storage.pool.fetch(statement, *arguments, timeout=READ_SECONDS)
        except DRIVER_ERRORS as error:
            raise translate(error) from None


class RequestStore:
    """Requests as the worker loop folds them; the row of a new one is there before any event about it is."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Request]:
        """Return the requests that exist."""
        return {row["id"]: _read(row) for row in await tx.connection.fetch(SQL.requests, keys)}

    async def save(self, tx: Transaction, states: Mapping[str, Request]) -> None:
        """Replace what is told about these requests; insert those that a restored database has forgotten."""
        rows = [
            (
                each.id,
                each.storefront,
                each.commitment,
                each.state,
                _progress(each),
                each.certificate,
                " ".join(each.seen),
            )
            for each in states.values()
        ]
        await tx.connection.execute(SQL.progress, *zip(*rows, strict=True))


def _progress(request: Request) -> str:
    return _REQUEST.dump_json(request, include=_PROGRESS).decode()


def _read(row: asyncpg.Record) -> Request:
    fields = {name: row[name] for name in ("id", "storefront", "commitment", "state", "certificate")}
    return _REQUEST.validate_python({**orjson.loads(row["progress"]), **fields, "seen": row["seen"].split()})
