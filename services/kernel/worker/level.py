"""Whether a worker has read what was written before: what another one waits for after a restore."""

import asyncio
from collections.abc import Iterable

from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.errors import RetryableError
from services.kernel.storage.interface import Storage

POLL_SECONDS = 0.2
POLLS = 10


class Level:
    """Call it again while it raises `RetryableError("behind")`; whoever owns the lanes, their positions count."""

    def __init__(self, broker: Broker, storage: Storage, partitions: Iterable[TopicPartition]) -> None:
        self._broker = broker
        self._storage = storage
        self._partitions = tuple(partitions)
        self._missing: dict[TopicPartition, int] | None = None

    async def __call__(self) -> None:
        """Return once everything is read that was there at the first call; raise for what may pass."""
        if self._missing is None:
            self._missing = {
                each: end for each, end in (await self._broker.ends(self._partitions)).items() if end
            }
        for _ in range(POLLS):
            await self._look(self._missing)
            if not self._missing:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise RetryableError("behind")

    async def _look(self, missing: dict[TopicPartition, int]) -> None:
        for lane in {str(each.partition) for each in missing}:
            mine = [each for each in missing if str(each.partition) == lane]
            for partition, position in (await self._storage.positions(lane, mine)).items():
                if position >= missing[partition]:
                    del missing[partition]
