"""A list that is read from elsewhere and known for a few seconds at a time: fresh enough to forget what was revoked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kernel.clock import Clock
from services.kernel.errors import RetryableError, StoreUnavailable

FRESH_SECONDS = 2.0
"""After this long the list is read again, in the background."""
STALE_SECONDS = 4.0
"""A list older than this is not used: what was revoked is refused at most 5 seconds later, or nobody is served."""
MISS_SECONDS = 0.25
"""What is unknown makes the list be read again, but not more often than this."""

Found = TypeVar("Found")


class Recent:
    """Says when a list must be read; its owner keeps it."""

    def __init__(self, read: Callable[[], Awaitable[None]], clock: Clock, unread: str) -> None:
        """`read` replaces the owner's list, or raises `RetryableError` and leaves it as it is.

        `unread` is the code of the `StoreUnavailable` that says that the list could not be read.
        """
        self._unread = unread
        self._read = read
        self._clock = clock
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, look: Callable[[], Found | None]) -> Found | None:
        """Return what `look` finds in a list that is recent enough; raises as `refresh` does."""
        age = self._clock.monotonic() - self._read_at
        if age > STALE_SECONDS:
            await self.refresh()
        elif age > FRESH_SECONDS:
            self._start_reading()
        found = look()
        if found is None and self._clock.monotonic() - self._read_at > MISS_SECONDS:
            await self.refresh()
            found = look()
        return found

    async def refresh(self) -> None:
        """Read the list again, together with whoever else waits for it; raise `StoreUnavailable` when that fails."""
        started_at = self._clock.monotonic()
        await asyncio.shield(self._start_reading())
        if self._read_at < started_at - STALE_SECONDS:
            raise StoreUnavailable(self._unread)

    async def learn(self) -> None:
        """Read the list by a question asked after this call: what was just changed is known then.

        Raises as `refresh` does.
        """
        if self._reading is not None:
            await asyncio.shield(self._reading)
        await self.refresh()

    def _start_reading(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_once())
        return self._reading

    async def _read_once(self) -> None:
        started_at = self._clock.monotonic()
        try:
            await self._read()
        except RetryableError:
            return
        # Counted from the question, not the answer: a revocation in between belongs to the next reading.
        self._read_at = started_at
