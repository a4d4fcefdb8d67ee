"""Whether a worker has read what was written before: what another one, or a restored keyring, waits for."""

import asyncio
from collections.abc import Iterable

from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.errors import RetryableError
from services.kernel.storage.interface import Storage

POLL_SECONDS = 0.2
POLLS = 10


class Level:
    """Whoever owns the lanes, their positions count: with several instances each waits for all of them.

    Call it again while it raises `RetryableError("behind")`, or `mark` once and `look` until it is `reached`.
    """

    def __init__(self, broker: Broker, storage: Storage, partitions: Iterable[TopicPartition]) -> None:
        self._broker = broker
        self._storage = storage
        self._partitions = tuple(partitions)
        self._missing: dict[TopicPartition, int] | None = None

    @property
    def reached(self) -> bool:
        """Whether everything is read that was there when it was marked."""
        return self._missing is not None and not self._missing

    async def __call__(self) -> None:
        """Return once everything is read that was there at the first call; raise for what may pass."""
        if self._missing is None:
            await self.mark()
        for _ in range(POLLS):
            await self.look()
            if self.reached:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise RetryableError("behind")

    async def mark(self) -> None:
        """Note where the partitions end now; raises `BrokerUnavailable`."""
        self._missing = {
            each: end for each, end in (await self._broker.ends(self._partitions)).items() if end > 0
        }

    async def look(self) -> None:
        """Strike out what was read since; raises `StoreUnavailable`."""
        missing = self._missing or {}
        for lane in {str(each.partition) for each in missing}:
            mine = [each for each in missing if str(each.partition) == lane]
            for partition, position in (await self._storage.positions(lane, mine)).items():
                if position >= missing[partition]:
                    del missing[partition]
