"""What a process goes on doing beside its loops: one task, from the start of the part that owns it to its stop."""

import asyncio
from abc import ABC, abstractmethod

from services.kernel.telemetry import log

AGAIN_SECONDS = 2.0
_log = log.get("background")


class Background(ABC):
    """A part of a process that works in a task of its own; what it does is `_work`."""

    _task: "asyncio.Task[None] | None" = None

    @property
    def ready(self) -> bool:
        """Whoever only looks and counts never keeps a process from being ready."""
        return True

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work())
        self._task.add_done_callback(_tell_of_a_bug)

    async def stop(self) -> None:
        """End; raises the bug that had ended it before.

        Cancels until it has ended: what it awaits may lose a cancellation, as `asyncio.wait_for` does before
        Python 3.12 when one comes in the moment its work is done (github.com/python/cpython/issues/86296).
        """
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=AGAIN_SECONDS)
        task, self._task = self._task, None
        if task is not None and not task.cancelled():
            task.result()

    @abstractmethod
    async def _work(self) -> None:
        """Go on until cancelled, or until there is nothing left to do."""


def _tell_of_a_bug(task: "asyncio.Task[None]") -> None:
    """Say at once what would otherwise come to light when the process stops."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background work ended", error=type(error).__name__, exc_info=error)
