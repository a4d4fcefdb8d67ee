"""What waits to be sent: bounded, in order, kept until the gateway has said what became of it."""

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ACCEPTED = ""
"""The verdict of what was taken; every other verdict is the code of a refusal."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of everything a shop has handed over; the three add up to it."""

    accepted: int
    refused: Mapping[str, int]
    """How many were refused, by code; by the gateway or right here."""
    waiting: int


class Erasure:
    """A wish to be forgotten, on its way.

    Keep `request` and `salt`: with them, the certificate can later be shown to be this customer's.
    """

    def __init__(self, request: str, salt: str) -> None:
        self.request = request
        self.salt = salt
        self._settled = threading.Event()
        self._verdict = ACCEPTED

    def __repr__(self) -> str:
        return f"Erasure({self.request})"

    def accepted(self, timeout_seconds: float = 0.0) -> bool | None:
        """Return whether the gateway has taken it, None while that is not known."""
        return self._verdict == ACCEPTED if self._settled.wait(timeout_seconds) else None

    def settle(self, verdict: str) -> None:
        """Note what became of it."""
        self._verdict = verdict
        self._settled.set()


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One event, or one wish to be forgotten."""

    id: str
    body: bytes
    erasure: Erasure | None = None


@dataclass(frozen=True)
class Limits:
    """How much may wait, and how much travels at once."""

    queue_events: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    batch_events: int = 100
    batch_bytes: int = 1024 * 1024
    linger_seconds: float = 0.1
    """How long an event may wait for others to travel with."""


@dataclass
class Queue:
    """Safe for any number of threads that put, and one that sends."""

    limits: Limits
    closed: bool = False
    _items: deque[Item] = field(default_factory=deque)
    _bytes: int = 0
    _accepted: int = 0
    _refused: Counter[str] = field(default_factory=Counter)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _flushing: int = 0
    _flushes: int = 0

    def put(self, item: Item) -> str:
        """Let an item wait; return ACCEPTED, or why it cannot: `queue-full`, `closed`."""
        with self._changed:
            refused = "closed" if self.closed else "queue-full" if self._full(item) else ACCEPTED
            if refused:
                self._refused[refused] += 1
            else:
                self._items.append(item)
                self._bytes += len(item.body)
                self._changed.notify_all()
        return refused

    def count(self, verdict: str) -> None:
        """Count something that never waits here."""
        with self._changed:
            self._count(verdict)

    def next_batch(self) -> list[Item]:
        """Wait until there is something to send and return it; it stays here until settled. Empty once closed.

        A batch is a run of events, or one erasure: what came before an erasure is sent before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed)
            self._changed.wait_for(self._worth_sending, timeout=self.limits.linger_seconds)
            return self._head()

    def settle(self, batch: Sequence[Item], verdicts: Sequence[str]) -> None:
        """Take out the items of a batch, which are the first, and count what became of each."""
        with self._changed:
            for item, verdict in zip(batch, verdicts, strict=True):
                self._items.popleft()
                self._bytes -= len(item.body)
                self._count(verdict)
                if item.erasure is not None:
                    item.erasure.settle(verdict)
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait before trying again; a flush that begins meanwhile, or the end, is worth one try at once."""
        with self._changed:
            before = self._flushes
            self._changed.wait_for(lambda: self.closed or self._flushes > before, timeout=seconds)

    def drained(self, timeout_seconds: float) -> bool:
        """Have everything sent without lingering; return whether nothing waits any more."""
        with self._changed:
            self._flushing += 1
            self._flushes += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._items, timeout=timeout_seconds)
            finally:
                self._flushing -= 1

    def close(self) -> None:
        """Take nothing more, and let the sender end."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def report(self) -> Report:
        """Return the counts."""
        with self._changed:
            return Report(self._accepted, dict(self._refused), len(self._items))

    def _count(self, verdict: str) -> None:
        if verdict == ACCEPTED:
            self._accepted += 1
        else:
            self._refused[verdict] += 1

    def _full(self, item: Item) -> bool:
        limits = self.limits
        return len(self._items) >= limits.queue_events or self._bytes + len(item.body) > limits.queue_bytes

    def _worth_sending(self) -> bool:
        limits = self.limits
        enough = len(self._items) >= limits.batch_events or self._bytes >= limits.batch_bytes
        return bool(enough or self._flushing or self.closed or self._items[-1].erasure)

    def _head(self) -> list[Item]:
        batch: list[Item] = []
        size_bytes = 0
        for item in self._items:
            size_bytes += len(item.body)
            full = len(batch) >= self.limits.batch_events or size_bytes > self.limits.batch_bytes
            if batch and (full or item.erasure is not None):
                break
            batch.append(item)
            if item.erasure is not None:
                break
        return batch
