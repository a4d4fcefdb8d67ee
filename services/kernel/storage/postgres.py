"""The real storage: asyncpg, one schema per worker, the lane's row locked first."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from services.kernel.broker.interface import Headers, TopicPartition
from services.kernel.errors import LaneLost, StoreRejected, StoreUnavailable
from services.kernel.settings import WorkerSettings
from services.kernel.storage import queries
from services.kernel.storage.interface import Backlog, DeadLetter, OutboxRow, Pairs, TimerRow
from services.kernel.storage.migrate import KERNEL, Connection, migrate

SQL = queries.beside(__file__)

# Below the ten seconds a rebalance may wait for a batch: a hung owner cannot keep a lane's row.
LIMITS = {
    "statement_timeout": "8s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "8s",
    "timezone": "UTC",
    # A plan kept from when a table was small reads all of it once it has grown, until somebody analyses the table.
    "plan_cache_mode": "force_custom_plan",
}
_LANE_TAKEN = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_DATA = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


def translate(error: Exception) -> Exception:
    """Return the kernel's error for a driver's: a code and a constraint's name, never a value.

    `str()` of a driver's error can contain the offending row, so it must never be logged or chained.
    """
    if isinstance(error, _LANE_TAKEN):
        return LaneLost(type(error).__name__)
    if isinstance(error, _DATA):
        return StoreRejected(
            error.sqlstate or "22000", constraint=getattr(error, "constraint_name", None) or "-"
        )
    if isinstance(error, asyncpg.PostgresError):
        return StoreUnavailable(error.sqlstate or "unknown")
    return StoreUnavailable(type(error).__name__)


DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # A server killed in the middle of an answer leaves the driver in a state it has no other word for.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Everything that a connection may raise; `translate` says what to do about each."""


class PostgresTransaction:
    """One batch of one lane."""

    def __init__(
        self, connection: Connection, lane: str, last_number: int, seed: bytes, at: datetime
    ) -> None:
        self.connection: Any = connection
        self.at = at
        self.seed = seed
        self._lane = lane
        self._last_number = last_number

    async def positions(self) -> dict[TopicPartition, int]:
        return _positions(await self.connection.fetch(SQL.lane_positions, self._lane))

    async def advance(self, positions: Mapping[TopicPartition, int]) -> None:
        await self.connection.execute(SQL.advance, *_columns(positions))

    async def suppressed(self, subjects: Sequence[str]) -> dict[str, Pairs]:
        rows = await self.connection.fetch(SQL.suppressed, subjects)
        return {row["subject"]: frozenset(_pair(text) for text in row["but"]) for row in rows}

    async def suppress(self, subject: str, request: str, round_number: int, but: Pairs) -> bool:
        excepted = [f"{scope}/{category}" for scope, category in but]
        before = await self.connection.fetchval(SQL.suppress, subject, request, round_number, excepted)
        return before is None or bool(before)  # None: a later round has replaced this one.

    async def blocked(self, keys: Sequence[str]) -> frozenset[str]:
        return frozenset(row[0] for row in await self.connection.fetch(SQL.blocked, keys))

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        rows = [
            (each.topic, each.partition, each.offset, each.code, each.field_path, each.parked, each.blocks,
             each.subject, each.scope, each.state_key, each.event_type, _pack(each.headers), each.value, each.length)
            for each in letters
        ]  # fmt: skip
        await self.connection.execute(SQL.bury, self._lane, *zip(*rows, strict=True))

    async def exhume(self, limit: int) -> list[DeadLetter]:
        rows = await self.connection.fetch(SQL.exhume, self._lane, limit)
        return [_letter(row) for row in sorted(rows, key=lambda row: row["id"])]

    async def append(self, rows: Sequence[OutboxRow]) -> None:
        columns = zip(
            *(
                (row.topic, row.key, row.value, _pack(row.headers), row.subject, row.scope,
                 ",".join(row.sealed), row.partner)
                for row in rows
            ),
            strict=True,
        )  # fmt: skip
        await self.connection.execute(SQL.append, self._lane, self._last_number, *columns)
        self._last_number += len(rows)
        await self.connection.execute(SQL.raise_number, self._lane, self._last_number)

    async def schedule(self, timers: Sequence[TimerRow]) -> None:
        latest = {(row.state_key, row.event_type): row for row in timers}
        columns = zip(
            *(
                (row.state_key, row.event_type, row.subject, row.scope, row.body, row.due_at)
                for row in latest.values()
            ),
            strict=True,
        )
        await self.connection.execute(SQL.schedule, self._lane, *columns)

    async def due(self, limit: int) -> list[TimerRow]:
        rows = await self.connection.fetch(SQL.due, self._lane, limit)
        return sorted((TimerRow(**row) for row in rows), key=lambda row: (row.due_at, row.state_key))

    async def count(self, endings: Mapping[tuple[str, str], int]) -> None:
        rows = [(topic, ending, count) for (topic, ending), count in sorted(endings.items())]
        await self.connection.execute(SQL.count, self._lane, *zip(*rows, strict=True))

    async def forget(self, subject: str, but: Pairs) -> int:
        pairs = [f"{scope}/{category}" for scope, category in but]
        return int(await self.connection.fetchval(SQL.forget, subject, pairs, [scope for scope, _ in but]))

    async def remember(self, subjects: Sequence[str]) -> None:
        await self.connection.execute(SQL.remember, sorted(subjects))

    async def remembers(self, subject: str) -> bool:
        return bool(await self.connection.fetchval(SQL.remembers, subject))

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = self._last_number
        try:
            async with self.connection.transaction():
                yield
        except DRIVER_ERRORS as error:
            self._last_number = before
            raise translate(error) from None
        except BaseException:
            self._last_number = before
            raise


class _Stateless(asyncpg.Connection):
    """A connection that is handed on as it is: we set nothing and listen to nothing; a lock that outlives its
    transaction (a rotation's) is undone by who took it.

    Without this the driver sends four statements behind every transaction to undo what nobody did.
    """

    def get_reset_query(self) -> str:
        return ""


class PostgresStorage:
    """The schema of one worker, reached by its own role with a small pool."""

    def __init__(
        self, settings: WorkerSettings, migrations: Sequence[Path] = (), connections: int = 4
    ) -> None:
        self._settings = settings
        self._migrations = (KERNEL, *migrations)
        self._connections = connections
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        settings = self._settings
        if self._pool is not None:
            # An earlier attempt connected and could not finish.
            self._pool.terminate()
        try:
            self._pool = await asyncpg.create_pool(
                host=settings.database_host, port=settings.database_port, database=settings.database_name,
                user=settings.principal, password=settings.database_password.get_secret_value(),
                min_size=1, max_size=self._connections, timeout=5, command_timeout=10,
                server_settings={"application_name": settings.instance, **LIMITS}, connection_class=_Stateless,
            )  # fmt: skip
            async with self.pool.acquire() as connection:
                await migrate(connection, self._migrations)
        except DRIVER_ERRORS as error:
            raise translate(error) from None

    async def stop(self) -> None:
        if self._pool is not None:
            try:
                async with asyncio.timeout(5):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()

    @property
    def pool(self) -> asyncpg.Pool:
        """The pool, for reads outside the loop (the gateway's pages); never for writes to a lane's rows."""
        if self._pool is None:
            raise StoreUnavailable("not-started")
        return self._pool

    @asynccontextmanager
    async def transaction(self, lane: str) -> AsyncIterator[PostgresTransaction]:
        try:
            async with self.pool.acquire(timeout=5) as connection, connection.transaction():
                locked = await connection.fetch(SQL.lock_lane, lane)
                if not locked:
                    await connection.execute(SQL.create_lane, lane)
                    locked = await connection.fetch(SQL.lock_lane, lane)
                (row,) = locked
                yield PostgresTransaction(connection, lane, row["last_number"], row["seed"], row["at"])
        except DRIVER_ERRORS as error:
            raise translate(error) from None

    async def positions(self, lane: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found = _positions(await self._fetch(SQL.lane_positions, lane))
        return {partition: found[partition] for partition in partitions if partition in found}

    async def begin(self, lane: str, positions: Mapping[TopicPartition, int], *, force: bool = False) -> None:
        await self._fetch(SQL.create_lane, lane)
        await self._fetch(SQL.begin_positions, lane, *_columns(positions))
        if force:
            await self._fetch(SQL.advance, *_columns(positions))

    async def streams(self) -> dict[str, str]:
        return {row["topic"]: row["topic_id"] for row in await self._fetch(SQL.streams)}

    async def know_streams(self, ids: Mapping[str, str]) -> None:
        await self._fetch(SQL.know_streams, list(ids), list(ids.values()))

    async def outbox(self, lane: str, limit: int) -> list[OutboxRow]:
        return [_outbox_row(row) for row in await self._fetch(SQL.outbox_page, lane, limit)]

    async def published(self, lane: str, through: int) -> None:
        await self._fetch(SQL.published, lane, through)

    async def last_number(self, lane: str) -> int:
        rows = await self._fetch(SQL.last_number, lane)
        return rows[0]["last_number"] if rows else 0

    async def raise_number(self, lane: str, number: int) -> None:
        # A database restored to a time before the lane's first batch has no row of it.
        await self._fetch(SQL.create_lane, lane)
        await self._fetch(SQL.raise_number, lane, number)

    async def waiting(self) -> frozenset[str]:
        return frozenset(row["lane"] for row in await self._fetch(SQL.waiting))

    async def backlog(self) -> Backlog:
        outgoing = await self._fetch(SQL.outgoing_rows)
        letters = await self._fetch(SQL.letter_rows)
        return Backlog(outgoing[0]["count"], {row["topic"]: row["count"] for row in letters})

    async def endings(self) -> dict[tuple[str, str], int]:
        return {(row["topic"], row["ending"]): row["count"] for row in await self._fetch(SQL.endings)}

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            return await self.pool.fetch(statement, *arguments)
        except DRIVER_ERRORS as error:
            raise translate(error) from None


def _positions(rows: Iterable[asyncpg.Record]) -> dict[TopicPartition, int]:
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _columns(positions: Mapping[TopicPartition, int]) -> tuple[list[str], list[int], list[int]]:
    return (
        [each.topic for each in positions],
        [each.partition for each in positions],
        list(positions.values()),
    )


def _pair(text: str) -> tuple[str, str]:
    scope, _, category = text.partition("/")
    return scope, category


def _pack(headers: Headers) -> bytes:
    # Kafka lets a header have no value; ours always have one, a partner's may not.
    return orjson.dumps([(name, (value or b"").decode("utf-8", "replace")) for name, value in headers])


def _unpack(packed: bytes) -> Headers:
    return [(name, value.encode()) for name, value in orjson.loads(packed)]


def _outbox_row(row: asyncpg.Record) -> OutboxRow:
    number, topic, key, value, headers, subject, scope, sealed, partner = row
    return OutboxRow(topic, key, value, _unpack(headers), subject, scope, tuple(sealed), partner, number)


def _letter(row: asyncpg.Record) -> DeadLetter:
    fields = dict(row)
    offset = fields.pop("record_offset")
    return DeadLetter(**{**fields, "offset": offset, "headers": _unpack(fields["headers"])})
