"""What the loop asks of a database. `postgres.py` is the real thing, `memory.py` its twin.

A lane's rows are touched only under the lane's lock; everything a batch does is one transaction.
Methods raise `StoreUnavailable` for what may pass, `StoreRejected` for data the database refuses,
`LaneLost` when the lock cannot be had in time.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from services.kernel.broker.interface import Headers, TopicPartition

Pairs = frozenset[tuple[str, str]]
"""(scope, category) pairs."""


class OutboxRow(NamedTuple):
    """An outgoing record that waits to be published; numbers rise by one within a lane, gaps are legal."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers
    subject: str | None
    scope: str | None
    sealed: tuple[str, ...]
    """Categories of the sealed fields inside; empty for receipts, holds and revocations, which are never dropped."""
    partner: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that ended here, or is parked behind one that did. Undecodable bytes are not kept, only their length."""

    topic: str
    partition: int
    offset: int
    code: str
    field_path: str = ""
    parked: bool = False
    """True: nothing is wrong with the record itself, an earlier one of its key is stuck."""
    blocks: bool = False
    """True: later records of the key must wait behind this one."""
    subject: str | None = None
    scope: str | None = None
    state_key: str | None = None
    event_type: str | None = None
    headers: Headers = ()
    value: bytes | None = None
    length: int = 0
    id: int = 0
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TimerRow:
    """An event of the worker's own that is folded when its time comes."""

    state_key: str
    event_type: str
    subject: str
    scope: str | None
    body: bytes
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows that wait: outgoing ones for Kafka, dead letters (parked ones included) for an operator, by topic."""

    outgoing: int
    letters: Mapping[str, int]


class Transaction(Protocol):
    """One batch of one lane, the lane's row locked."""

    at: datetime
    """Database time at its start."""
    seed: bytes
    """The lane's secret: from it comes all chance in what it decides, so that it comes again with a backup."""
    connection: Any
    """For the worker's own store: an asyncpg connection, or the twin's tables."""

    async def positions(self) -> dict[TopicPartition, int]:
        """Return the next offset of every partition of the lane."""

    async def advance(self, positions: Mapping[TopicPartition, int]) -> None:
        """Store the next offsets."""

    async def suppressed(self, subjects: Sequence[str]) -> dict[str, Pairs]:
        """Return the erased ones among these subjects, with the pairs that are excepted."""

    async def suppress(self, subject: str, request: str, round_number: int, but: Pairs) -> bool:
        """Record that a subject is erased but for these pairs; return whether it already was.

        An earlier round of the same request than the one recorded changes nothing.
        """

    async def blocked(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those state keys behind which records must be parked."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters and parked records."""

    async def exhume(self, limit: int) -> list[DeadLetter]:
        """Take out what an operator marked for redrive, oldest first, together with what is parked behind it."""

    async def append(self, rows: Sequence[OutboxRow]) -> None:
        """Number and store outgoing records, in this order."""

    async def schedule(self, timers: Sequence[TimerRow]) -> None:
        """Store timers; one of the same key and type replaces the earlier."""

    async def due(self, limit: int) -> list[TimerRow]:
        """Take out timers whose time has come, earliest first."""

    async def count(self, endings: Mapping[tuple[str, str], int]) -> None:
        """Add to the (topic, ending) counts."""

    async def forget(self, subject: str, but: Pairs) -> int:
        """Drop the subject's letters, timers and sealed outgoing records that are not excepted; return how many."""

    async def remember(self, subjects: Sequence[str]) -> None:
        """Note that rows exist for these subjects."""

    async def remembers(self, subject: str) -> bool:
        """Say whether this owner ever stored for the subject."""

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a nested transaction that an exception rolls back."""


class Storage(Protocol):
    """The database of one worker."""

    async def start(self) -> None:
        """Connect and bring the schema up to date."""

    async def stop(self) -> None:
        """Close every connection."""

    def transaction(self, lane: str) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction whose first statement locks the lane's row (created when missing)."""

    async def positions(self, lane: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return stored next offsets; partitions never seen are absent."""

    async def begin(self, lane: str, positions: Mapping[TopicPartition, int], *, force: bool = False) -> None:
        """Store first positions of partitions never seen; existing ones stay unless forced."""

    async def streams(self) -> dict[str, str]:
        """Return the topic ids this database was filled from, by topic; by lane where each partition is its own."""

    async def know_streams(self, ids: Mapping[str, str]) -> None:
        """Store topic ids; what has another one than before loses its positions, which were in other records."""

    async def outbox(self, lane: str, limit: int) -> list[OutboxRow]:
        """Return the oldest waiting rows."""

    async def published(self, lane: str, through: int) -> None:
        """Delete rows numbered at or below `through`."""

    async def last_number(self, lane: str) -> int:
        """Return the lane's counter: the number given last."""

    async def raise_number(self, lane: str, number: int) -> None:
        """Continue a restored lane's counter behind what was published before, on the operator's word."""

    async def waiting(self) -> frozenset[str]:
        """Return lanes that have due timers, letters marked for redrive, or outgoing rows.

        Who folded a timer after its lane went to somebody else leaves rows that their new owner was not told of.
        """

    async def backlog(self) -> Backlog:
        """Return what waits in the tables, for people who watch."""

    async def endings(self) -> dict[tuple[str, str], int]:
        """Return the (topic, ending) counts of all lanes."""
