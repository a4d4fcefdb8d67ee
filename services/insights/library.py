"""Answers, made from the rows and kept for a moment: many who ask the same are one question to the database."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.kernel.clock import Clock

FRESH_SECONDS = 2.0
"""So much later at most is an answer about what is stored now."""
MOST_KEPT = 2_000

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class Library(Generic[Key, Answer]):
    """Keeps each answer for `FRESH_SECONDS`, the least recently asked for going first. Errors are not kept."""

    def __init__(self, make: Callable[[Key], Awaitable[Answer]], clock: Clock, most: int = MOST_KEPT) -> None:
        self._make = make
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[Key, tuple[float, Answer]] = OrderedDict()
        self._making: dict[Key, asyncio.Task[Answer]] = {}

    def ready(self, key: Key) -> Answer | None:
        """Return an answer that is at hand and fresh."""
        kept = self._kept.get(key)
        if kept is None or self._clock.monotonic() - kept[0] > FRESH_SECONDS:
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
        self._kept[key] = (asked_at, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return answer
