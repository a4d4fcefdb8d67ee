"""Answers, made from the rows and kept for a moment: many who ask the same are one question to the database."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.kernel.clock import Clock

FRESH_SECONDS = 2.0
"""So much later at most is an answer about what is stored now, if nobody says otherwise."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all answers together."""
PAGE_BYTES = 64 * 1024
"""What an answer is taken to weigh that is no bytes."""

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class Library(Generic[Key, Answer]):
    """Keeps answers while they are fresh and there is room, the oldest going first. Errors are not kept."""

    def __init__(
        self,
        make: Callable[[Key], Awaitable[Answer]],
        clock: Clock,
        fresh_seconds: float = FRESH_SECONDS,
        weigh: Callable[[Answer], int] = lambda _: PAGE_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._make = make
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._weigh = weigh
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, tuple[float, Answer]] = OrderedDict()
        self._bytes = 0
        self._making: dict[Key, asyncio.Task[Answer]] = {}

    def ready(self, key: Key) -> Answer | None:
        """Return an answer that is at hand and fresh."""
        kept = self._kept.get(key)
        if kept is None or self._clock.monotonic() - kept[0] > self._fresh_seconds:
            return None
        return kept[1]

    async def get(self, key: Key) -> Answer:
        """Return the answer, making it together with whoever else waits for it; raises what making it raises."""
        found = self.ready(key)
        if found is not None:
            return found
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.get_running_loop().create_task(self._make_one(key))
        # Who hangs up must not take the answer away from the others.
        return await asyncio.shield(task)

    async def _make_one(self, key: Key) -> Answer:
        asked_at = self._clock.monotonic()
        try:
            answer = await self._make(key)
        finally:
            del self._making[key]
        self._drop(key)
        self._kept[key] = (asked_at, answer)
        self._bytes += self._weigh(answer)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))
        return answer

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= self._weigh(kept[1])
