"""What dispatch tells its operator: who was told to forget, what is held back, whose word is overdue."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import asyncpg

from schemas.partners import CopyRevoked
from services.dispatch.store import SQL
from services.kernel.decision import Outgoing
from services.kernel.storage.postgres import DRIVER_ERRORS
from services.kernel.telemetry import metrics
from services.kernel.worker.background import Background

LOOK_SECONDS = 5.0


def count_revocations(outgoing: Iterable[Outgoing]) -> None:
    """Count what partners are told to erase; a batch that is rolled back and decided again counts again."""
    for each in outgoing:
        if each.type == CopyRevoked.type:
            partner = each.topic.split(".")[1]
            metrics.PARTNER_REVOKED.labels(partner=partner, reason=each.headers["reason"]).inc()


class Watch(Background):
    """Looks every few seconds for what somebody should do something about."""

    def __init__(self, pool: Callable[[], asyncpg.Pool]) -> None:
        self._pool = pool
        self._known: set[str] = set()

    async def look(self) -> None:
        """Set the gauges; a partner that nothing waits for any more goes back to 0."""
        found = {row["partner"]: row for row in await self._pool().fetch(SQL.attention)}
        self._known |= found.keys()
        for partner in self._known:
            held, overdue = (found[partner][name] if partner in found else 0 for name in ("held", "overdue"))
            metrics.PARTNER_HELD.labels(partner=partner).set(held)
            metrics.PARTNER_OVERDUE.labels(partner=partner).set(overdue)

    async def _work(self) -> None:
        while True:
            # What cannot be read now is read again soon; readiness says that the database is away.
            with contextlib.suppress(*DRIVER_ERRORS):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)
