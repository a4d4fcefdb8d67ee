"""Looks around every few seconds: whether Kafka and the database answer, and what waits, for those who watch."""

import asyncio
from collections.abc import Callable, Mapping

from services.kernel.broker.interface import Consumer, TopicPartition
from services.kernel.clock import Clock
from services.kernel.errors import RetryableError
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log, metrics

LOOK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""Who has not answered by then is away. A quiet lane asks nobody for anything, so it would not notice by itself."""
_log = log.get("watch")


class Watch:
    """The watch of one loop; `positions` gives the next offsets of what was handled."""

    def __init__(
        self,
        consumer: Consumer,
        storage: Storage,
        clock: Clock,
        positions: Callable[[], Mapping[TopicPartition, int]],
    ) -> None:
        self._consumer = consumer
        self._storage = storage
        self._clock = clock
        self._positions = positions
        self.answered = True
        """Whether Kafka and the database both answered when last asked."""
        self._told_lag: set[TopicPartition] = set()
        self._told_letters: set[str] = set()
        """Topics whose letters were counted before: one whose last letter was redriven must be told as none."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            answered = await self._look()
            if answered and not self.answered:
                _log.info("kafka and database answer")
            elif self.answered and not answered:
                _log.warning("kafka or database does not answer")
            self.answered = answered

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                positions = self._positions()
                self._tell_lag(positions, await self._consumer.ends(positions) if positions else {})
                backlog = await self._storage.backlog()
        except (RetryableError, TimeoutError):
            return False
        metrics.OUTBOX_ROWS.set(backlog.outgoing)
        self._told_letters |= set(backlog.letters)
        for topic in self._told_letters:
            metrics.DEAD_LETTER_ROWS.labels(topic=topic).set(backlog.letters.get(topic, 0))
        return True

    def _tell_lag(self, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        for partition, end in ends.items():
            lag = metrics.LAG.labels(topic=partition.topic, partition=partition.partition)
            lag.set(max(0, end - positions[partition]))
        # Of what went to another instance this one knows nothing any more: its last figure would stand for ever.
        for partition in self._told_lag - set(ends):
            metrics.LAG.remove(partition.topic, str(partition.partition))
        self._told_lag = set(ends)
