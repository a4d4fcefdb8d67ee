"""Removes what is older than it may be, whether or not anything new arrives."""

import asyncio

from services.insights.desk import Desk
from services.kernel.clock import Clock
from services.kernel.errors import RetryableError
from services.kernel.telemetry import log, metrics

EVERY_SECONDS = 600.0
_log = log.get(__name__)


class Tidying:
    """A part of the process; several at once harm nobody. One round removes all that is due."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it still runs."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Remove what is due, before anything is served; then go on. Raises `StoreUnavailable`."""
        await self._round()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(EVERY_SECONDS)
            try:
                await self._round()
            except RetryableError as error:
                _log.warning("not tidied", code=error.code)

    async def _round(self) -> None:
        removed = await self._desk.tidy()
        if removed:
            metrics.PUBLISHED_REMOVED.inc(removed)
            _log.info("old numbers removed", rows=removed)
