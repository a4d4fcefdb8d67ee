"""Time as a port: deadlines come from the database, waiting from here."""

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the loop may know of time."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def now(self) -> datetime:
        """Return the time of day, UTC; for telling people, never for deciding."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def backoff(first_seconds: float = 0.1, most_seconds: float = 5.0) -> Iterator[float]:
    """Yield ever longer waits with full jitter, so that many workers do not return at once."""
    ceiling = first_seconds
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, protects nothing
        ceiling = min(most_seconds, ceiling * 2)
