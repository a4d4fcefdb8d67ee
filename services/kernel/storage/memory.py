"""The in-memory twin: same promises, for tests that need no network. Keeps an ordered log of effects."""

import asyncio
import copy
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from services.kernel.broker.interface import TopicPartition
from services.kernel.errors import LaneLost
from services.kernel.storage.interface import Backlog, DeadLetter, OutboxRow, Pairs, TimerRow


@dataclass
class Tables:
    """Everything one worker's schema holds."""

    numbers: dict[str, int] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    lanes: dict[TopicPartition, str] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    outbox: dict[str, list[OutboxRow]] = field(default_factory=lambda: defaultdict(list))
    suppression: dict[str, Pairs] = field(default_factory=dict)
    rounds: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By suppressed subject: the request, and its round."""
    remembered: set[str] = field(default_factory=set)
    letters: dict[str, list[DeadLetter]] = field(default_factory=lambda: defaultdict(list))
    redrives: set[int] = field(default_factory=set)
    timers: dict[tuple[str, str, str], TimerRow] = field(default_factory=dict)
    endings: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    last_letter: int = 0
    worker: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    """What the worker's own store keeps: table name to rows by key."""


class MemoryTransaction:
    """One batch of one lane, on a copy of the tables that replaces them on commit."""

    def __init__(self, tables: Tables, lane: str, at: datetime) -> None:
        self.tables = tables
        self.connection = tables.worker
        self.at = at
        self.seed = lane.encode()
        self._lane = lane

    async def positions(self) -> dict[TopicPartition, int]:
        return {
            each: self.tables.positions[each]
            for each, lane in self.tables.lanes.items()
            if lane == self._lane
        }

    async def advance(self, positions: Mapping[TopicPartition, int]) -> None:
        self.tables.positions.update(positions)

    async def suppressed(self, subjects: Sequence[str]) -> dict[str, Pairs]:
        return {each: self.tables.suppression[each] for each in subjects if each in self.tables.suppression}

    async def suppress(self, subject: str, request: str, round_number: int, but: Pairs) -> bool:
        already = subject in self.tables.suppression
        before = self.tables.rounds.get(subject, (request, 0))
        if before[0] != request or before[1] <= round_number:
            self.tables.suppression[subject] = but
            self.tables.rounds[subject] = (request, round_number)
        return already

    async def blocked(self, keys: Sequence[str]) -> frozenset[str]:
        stuck = {
            each.state_key for letters in self.tables.letters.values() for each in letters if each.blocks
        }
        return frozenset(key for key in keys if key in stuck)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self.tables.last_letter += 1
            self.tables.letters[self._lane].append(
                replace(letter, id=self.tables.last_letter, recorded_at=self.at)
            )

    async def exhume(self, limit: int) -> list[DeadLetter]:
        kept, asked = self.tables.letters[self._lane], self.tables.redrives
        first = [each for each in kept if each.id in asked][:limit]
        keys = {each.state_key for each in first if each.blocks}
        taken = [
            each
            for each in kept
            if each in first or (each.state_key in keys and (each.parked or each.blocks))
        ]
        self.tables.letters[self._lane] = [each for each in kept if each not in taken]
        asked.difference_update(each.id for each in taken)
        return taken

    async def append(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            self.tables.numbers[self._lane] += 1
            self.tables.outbox[self._lane].append(row._replace(number=self.tables.numbers[self._lane]))

    async def schedule(self, timers: Sequence[TimerRow]) -> None:
        for row in timers:
            self.tables.timers[self._lane, row.state_key, row.event_type] = row

    async def due(self, limit: int) -> list[TimerRow]:
        due = [
            (key, row)
            for key, row in self.tables.timers.items()
            if key[0] == self._lane and row.due_at <= self.at
        ]
        taken = sorted(due, key=lambda item: (item[1].due_at, item[1].state_key))[:limit]
        for key, _ in taken:
            del self.tables.timers[key]
        return [row for _, row in taken]

    async def count(self, endings: Mapping[tuple[str, str], int]) -> None:
        for key, count in endings.items():
            self.tables.endings[key] += count

    async def forget(self, subject: str, but: Pairs) -> int:
        scopes = {scope for scope, _ in but}
        before = self._size()
        for lane, rows in self.tables.outbox.items():
            self.tables.outbox[lane] = [
                row
                for row in rows
                if row.subject != subject
                or all((row.scope or "", category) in but for category in row.sealed)
            ]
        for lane, letters in self.tables.letters.items():
            self.tables.letters[lane] = [
                each for each in letters if each.subject != subject or each.scope in scopes
            ]
        self.tables.timers = {
            key: row
            for key, row in self.tables.timers.items()
            if row.subject != subject or row.scope in scopes
        }
        return before - self._size()

    def _size(self) -> int:
        rows = sum(map(len, self.tables.outbox.values()))
        letters = sum(map(len, self.tables.letters.values()))
        return rows + letters + len(self.tables.timers)

    async def remember(self, subjects: Sequence[str]) -> None:
        self.tables.remembered.update(subjects)

    async def remembers(self, subject: str) -> bool:
        return subject in self.tables.remembered

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = copy.deepcopy(self.tables)
        try:
            yield
        except BaseException:
            self.tables.__dict__.update(before.__dict__)
            self.connection = self.tables.worker
            raise


class MemoryStorage:
    """Twin of `PostgresStorage`; `effects` records commits in order, `now` is settable.

    Transactions work on a copy, so one lock serialises them all, where PostgreSQL serialises only those of a lane.
    """

    def __init__(self, effects: list[tuple[str, ...]] | None = None) -> None:
        self.tables = Tables()
        self.effects: list[tuple[str, ...]] = effects if effects is not None else []
        self.now: datetime | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    @asynccontextmanager
    async def transaction(self, lane: str) -> AsyncIterator[MemoryTransaction]:
        try:
            async with asyncio.timeout(5):
                await self._lock.acquire()
        except TimeoutError:
            raise LaneLost("lock") from None
        try:
            self.tables.numbers.setdefault(lane, 0)
            tx = MemoryTransaction(copy.deepcopy(self.tables), lane, self.now or datetime.now(UTC))
            yield tx
            self.tables = tx.tables
            self.effects.append(("stored", lane))
        finally:
            self._lock.release()

    async def positions(self, lane: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: self.tables.positions[each] for each in partitions if each in self.tables.positions}

    async def begin(self, lane: str, positions: Mapping[TopicPartition, int], *, force: bool = False) -> None:
        self.tables.numbers.setdefault(lane, 0)
        for partition, offset in positions.items():
            if force or partition not in self.tables.positions:
                self.tables.positions[partition] = offset
            self.tables.lanes[partition] = lane

    async def streams(self) -> dict[str, str]:
        return dict(self.tables.streams)

    async def know_streams(self, ids: Mapping[str, str]) -> None:
        known = self.tables.streams
        anew = {name for name, each in ids.items() if known.get(name, each) != each}
        for partition, lane in self.tables.lanes.items():
            if anew & {partition.topic, lane}:
                self.tables.positions.pop(partition, None)
        self.tables.streams.update(ids)

    async def outbox(self, lane: str, limit: int) -> list[OutboxRow]:
        return self.tables.outbox[lane][:limit]

    async def published(self, lane: str, through: int) -> None:
        self.tables.outbox[lane] = [row for row in self.tables.outbox[lane] if row.number > through]

    async def last_number(self, lane: str) -> int:
        return self.tables.numbers.get(lane, 0)

    async def raise_number(self, lane: str, number: int) -> None:
        self.tables.numbers[lane] = number

    async def waiting(self) -> frozenset[str]:
        now = self.now or datetime.now(UTC)
        due = {key[0] for key, row in self.tables.timers.items() if row.due_at <= now}
        asked = {
            lane
            for lane, letters in self.tables.letters.items()
            if any(e.id in self.tables.redrives for e in letters)
        }
        outgoing = {lane for lane, rows in self.tables.outbox.items() if rows}
        return frozenset(due | asked | outgoing)

    async def backlog(self) -> Backlog:
        letters = Counter(each.topic for letters in self.tables.letters.values() for each in letters)
        return Backlog(sum(map(len, self.tables.outbox.values())), letters)

    async def endings(self) -> dict[tuple[str, str], int]:
        return dict(self.tables.endings)
