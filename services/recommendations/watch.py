"""Notices that Faust is alive and idle: its consumer can stop reading for good, and nothing else of it says so."""

import asyncio
from collections.abc import Mapping

from schemas.topics import STATISTICS
from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.errors import BrokerUnavailable, LetheError
from services.kernel.telemetry import metrics
from services.recommendations.fence import Application

LOOK_SECONDS = 10.0
STILL_LOOKS = 12
"""So many looks in a row at records that wait and a position that does not move are no coincidence any more."""


class Stalled(LetheError):
    """Records wait, and nobody reads them."""


class Watch:
    """Compares where the consumer is with where the topic ends; raises `Stalled` after two minutes of nothing.

    A recovery that gets no further is the same thing; one that only takes long is not.
    """

    def __init__(self, app: Application, broker: Broker, look_seconds: float = LOOK_SECONDS) -> None:
        self._app = app
        self._broker = broker
        self._look_seconds = look_seconds
        self._last: Mapping[int, int] = {}
        self._still = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except BrokerUnavailable:
                self._still = 0

    async def look(self) -> None:
        """Look once: tell the lag, and raise if for too long something waits and nothing moves."""
        if self._app.recovered:
            at = await self._app.positions()
            waits = await self._lag(at) > 0
        else:
            at, waits = self._app.recovering(), True
        self._still = self._still + 1 if waits and at == self._last else 0
        self._last = at
        if self._still >= STILL_LOOKS:
            raise Stalled("stalled")

    async def _lag(self, positions: Mapping[int, int]) -> int:
        ends = await self._broker.ends([TopicPartition(STATISTICS.name, lane) for lane in positions])
        lags = {
            lane: max(0, ends[TopicPartition(STATISTICS.name, lane)] - at) for lane, at in positions.items()
        }
        for lane, lag in lags.items():
            metrics.LAG.labels(STATISTICS.name, lane).set(lag)
        return sum(lags.values())
