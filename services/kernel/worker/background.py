"""What a process goes on doing beside its loops: one task, from the start of the part that owns it to its stop."""

import asyncio
from abc import ABC, abstractmethod
from contextvars import ContextVar

from services.kernel.telemetry import log

AGAIN_SECONDS = 2.0
STOPPING: ContextVar[asyncio.Event | None] = ContextVar("stopping", default=None)
"""How a process is asked to stop; a process sets it before it starts its parts, and theirs, however deep, find it."""
_log = log.get("background")


class Background(ABC):
    """A part of a process that works in a task of its own; what it does is `_work`. A bug in it ends the process.

    So does a cancellation that nobody asked for: its work would be left undone as silently.
    """

    _task: "asyncio.Task[None] | None" = None
    _asked = False
    """Whether it was told to stop."""

    @property
    def ready(self) -> bool:
        """Whether it is at work."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Begin."""
        self._asked = False
        self._task = asyncio.create_task(self._work())
        self._task.add_done_callback(self._heed_a_bug)

    async def stop(self) -> None:
        """End; raises the bug that had ended it before.

        Cancels until it has ended: what it awaits may lose a cancellation, as `asyncio.wait_for` does before
        Python 3.12 when one comes in the moment its work is done (github.com/python/cpython/issues/86296).
        """
        while self._task is not None and not self._task.done():
            self._asked = True
            self._task.cancel()
            await asyncio.wait([self._task], timeout=AGAIN_SECONDS)
        task, self._task = self._task, None
        if task is not None and (error := self._bug(task)) is not None:
            raise error

    @abstractmethod
    async def _work(self) -> None:
        """Go on until cancelled, or until there is nothing left to do."""

    def _bug(self, task: "asyncio.Task[None]") -> BaseException | None:
        """Return what ended the work, None where it was stopped or had nothing left to do."""
        if not task.cancelled():
            return task.exception()
        return None if self._asked else RuntimeError("cancelled, and nobody asked for it")

    def _heed_a_bug(self, task: "asyncio.Task[None]") -> None:
        """Say at once what comes out when the process stops, and stop it: started anew it may get further."""
        if (error := self._bug(task)) is not None:
            _log.error("background work ended", error=type(error).__name__, exc_info=error)
            if (stopping := STOPPING.get()) is not None:
                stopping.set()
