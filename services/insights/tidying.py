"""Removes what is older than it may be, whether or not anything new arrives."""

from services.insights.desk import Desk
from services.kernel.clock import Clock
from services.kernel.errors import RetryableError
from services.kernel.telemetry import log, metrics
from services.kernel.worker.background import Background

EVERY_SECONDS = 600.0
_log = log.get(__name__)


class Tidying(Background):
    """Several at once harm nobody: a round is one statement, which removes all that is due by the database's clock."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def start(self) -> None:
        """Remove what is due before anything is served, then go on. Raises `StoreUnavailable`."""
        await self._round()
        await super().start()

    async def _work(self) -> None:
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
