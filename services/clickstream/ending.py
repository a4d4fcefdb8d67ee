"""Decides which windows are over, beside the loop: by the database's time, and then by where the log ends."""

import asyncio
from collections.abc import Sequence

from schemas.topics import CLICKS, LANES
from services.clickstream.domain import KEPT, REMEMBERED, SUMMING, Reason, Rules, Span
from services.clickstream.handler import reminder
from services.clickstream.store import ClickStore
from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.clock import backoff
from services.kernel.errors import RetryableError
from services.kernel.failpoints import Step, step
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log, metrics
from services.kernel.worker.background import Background

LOOK_SECONDS = 1.0
MOST_SPANS = 500
"""So many windows are cut off together."""
MOST_EXPIRED = 20_000
"""So many old numbers are deleted in one look."""
LANES_OF_CLICKS = tuple(TopicPartition(CLICKS.name, lane) for lane in range(LANES))
_log = log.get("clickstream")


class Ending(Background):
    """A part of the process. Several instances may do it side by side: a window is cut off once in each lane."""

    def __init__(self, broker: Broker, storage: Storage, store: ClickStore, rules: Rules) -> None:
        self._broker, self._storage, self._store, self._rules = broker, storage, store, rules

    async def _work(self) -> None:
        waits = backoff(LOOK_SECONDS, 30.0)
        while True:
            try:
                if not await self.look():
                    await asyncio.sleep(LOOK_SECONDS)
                waits = backoff(LOOK_SECONDS, 30.0)
            except RetryableError as error:
                _log.warning("closing put off", code=error.code, error=type(error).__name__)
                await asyncio.sleep(next(waits))

    async def look(self) -> bool:
        """Cut off every window that is over by now; return whether there were any."""
        over = await self._over()
        if not over:
            return False
        # Read after the windows were over: whatever a gateway had sent by then lies before these ends.
        ends = await self._broker.ends(LANES_OF_CLICKS)
        for partition, end in ends.items():
            await self._cut_off(partition, over, end)
        _log.info("windows cut off", count=len(over))
        return True

    async def _over(self) -> Sequence[Span]:
        """Return windows that are over, opened in every lane: each must say when it has closed them."""
        with step(Step.OVER):
            async with self._storage.transaction(str(SUMMING)) as tx:
                over = await self._store.over(tx, tx.at - self._rules.grace, MOST_SPANS)
                if over:
                    await self._store.open_everywhere(
                        tx, {each for span in over for each in (span, span.day)}
                    )
                if await self._store.complete(tx, 1):
                    await tx.schedule([reminder(SUMMING, tx)])
                await self._store.forget(tx, tx.at - REMEMBERED)
                await self._store.expire(tx, tx.at - KEPT, MOST_EXPIRED)
                tallies = await self._store.tallies(tx)
        for reason in Reason:
            metrics.CELLS.labels(reason=reason).set(tallies.get(reason, 0))
        return over

    async def _cut_off(self, partition: TopicPartition, over: Sequence[Span], end: int) -> None:
        lane = partition.partition
        with step(Step.CUT_OFF):
            async with self._storage.transaction(str(lane)) as tx:
                # What was written since and is counted already cannot be taken back.
                until = max(end, (await tx.positions()).get(partition, 0))
                if await self._store.cut_off(tx, lane, over, until):
                    await tx.schedule([reminder(lane, tx)])
