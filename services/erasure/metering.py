"""What the erasure worker tells its operator: how long erasures take, and whose answers are missing."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import asyncpg

from schemas.erasure import RequestProgressed, RequestState
from services.erasure.rounds import Erasure
from services.erasure.store import SQL
from services.kernel.decision import Decide, Decision, Given
from services.kernel.storage.postgres import DRIVER_ERRORS
from services.kernel.telemetry import log, metrics
from services.kernel.worker.background import Background

LOOK_SECONDS = 5.0
_log = log.get("erasure")


def metered(decide: Decide[Erasure]) -> Decide[Erasure]:
    """Return `decide`, counting what it announces; a batch that is rolled back and decided again counts again."""

    def counting(erasure: Erasure | None, event: object, given: Given) -> Decision[Erasure]:
        decision = decide(erasure, event, given)
        for outgoing in decision.outgoing:
            if isinstance(outgoing.event, RequestProgressed) and outgoing.event.joined is None:
                _count(decision.state, given.at, first=erasure is not None and erasure.certificate is None)
        return decision

    return counting


def _count(erasure: Erasure, at: datetime, *, first: bool) -> None:
    metrics.ERASURES.labels(state=erasure.state.value).inc()
    for owed in erasure.owed:
        if owed.doubt:
            _log.error("answer not believed", owner=owed.owner, code=owed.doubt, round=erasure.round)
    if first and erasure.state is RequestState.CERTIFIED and erasure.keys:
        taken = erasure.keys.unreadable_at - erasure.verified_at
        metrics.UNREADABLE_SECONDS.observe(taken.total_seconds())
        metrics.CERTIFIED_SECONDS.observe((at - erasure.verified_at).total_seconds())


class Watch(Background):
    """Looks every few seconds for whom requests are waiting, so that a silent owner shows as a number."""

    def __init__(self, pool: Callable[[], asyncpg.Pool], owners: tuple[str, ...]) -> None:
        self._pool = pool
        self._owners = owners

    async def _work(self) -> None:
        while True:
            # What cannot be read now is read again soon; readiness says that the database is away.
            with contextlib.suppress(*DRIVER_ERRORS):
                found = {row["owner"]: row["requests"] for row in await self._pool().fetch(SQL.incomplete)}
                for owner in self._owners:
                    metrics.ERASURES_INCOMPLETE.labels(owner=owner).set(found.get(owner, 0))
            await asyncio.sleep(LOOK_SECONDS)
