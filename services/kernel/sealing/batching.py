"""Natural batching: one call at a time; what is asked meanwhile travels together in the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Chunk(Generic[Item, Answer]):
    items: Sequence[Item]
    answers: "asyncio.Future[Sequence[Answer]]"


class Batching(Generic[Item, Answer]):
    """Turns many small questions of one process into few large calls, without waiting for a batch to fill.

    An idle asker pays no delay; a busy one pays at most the call in flight. A failed call fails all its
    askers.
    """

    def __init__(self, call: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: deque[_Chunk[Item, Answer]] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        """Return the answers in the order of the items; at most `most` items travel in one call."""
        loop = asyncio.get_running_loop()
        chunks: list[_Chunk[Item, Answer]] = [
            _Chunk(items[start : start + self._most], loop.create_future())
            for start in range(0, len(items), self._most)
        ]
        self._waiting.extend(chunks)
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send_all())
        if len(chunks) == 1:  # as nearly always; spares the machinery for many
            return list(await chunks[0].answers)
        parts = await asyncio.gather(*(chunk.answers for chunk in chunks))
        return [answer for part in parts for answer in part]

    async def close(self) -> None:
        """Give up the call in flight; its askers are cancelled."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send_all(self) -> None:
        while self._waiting:
            chunks = self._next_chunks()
            try:
                answers = await self._call([item for chunk in chunks for item in chunk.items])
            except asyncio.CancelledError:
                for chunk in (*chunks, *self._waiting):
                    chunk.answers.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the askers' to handle
                for chunk in chunks:
                    if not chunk.answers.done():
                        chunk.answers.set_exception(error)
            else:
                _hand_out(chunks, answers)

    def _next_chunks(self) -> list[_Chunk[Item, Answer]]:
        chunks = [self._waiting.popleft()]
        size = len(chunks[0].items)
        while self._waiting and size + len(self._waiting[0].items) <= self._most:
            chunks.append(self._waiting.popleft())
            size += len(chunks[-1].items)
        return chunks


def _hand_out(chunks: list[_Chunk[Item, Answer]], answers: Sequence[Answer]) -> None:
    start = 0
    for chunk in chunks:
        if not chunk.answers.done():  # an asker may have been cancelled meanwhile
            chunk.answers.set_result(answers[start : start + len(chunk.items)])
        start += len(chunk.items)
