"""Serves nobody until everything is known: a restored keyring would hand out keys that were destroyed since."""

import asyncio
import contextlib

from schemas.topics import COMMANDS, HOLDS
from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.errors import RetryableError
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log

POLL_SECONDS = 0.2
PARTITIONS = tuple(
    TopicPartition(topic.name, number) for topic in (HOLDS, COMMANDS) for number in range(topic.partitions)
)
_log = log.get("readiness")


class Replay:
    """A part of the keyring's process: ready once holds and commands are read to where they ended at start.

    Whoever reads them does not matter: with several instances, each waits for all lanes.
    """

    def __init__(self, broker: Broker, storage: Storage) -> None:
        self._broker = broker
        self._storage = storage
        self._missing: dict[TopicPartition, int] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing said before this process started is unknown to it."""
        return self._missing is not None and not self._missing

    async def start(self) -> None:
        """Note where the topics end now; raises `BrokerUnavailable`."""
        self._missing = {each: end for each, end in (await self._broker.ends(PARTITIONS)).items() if end > 0}
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while self._missing:
            try:
                await self._look()
            except RetryableError as error:
                _log.info("progress unknown", code=error.code)
            await asyncio.sleep(POLL_SECONDS)
        _log.info("holds and commands replayed")

    async def _look(self) -> None:
        missing = self._missing or {}
        for lane in {str(each.partition) for each in missing}:
            mine = [each for each in missing if str(each.partition) == lane]
            for partition, position in (await self._storage.positions(lane, mine)).items():
                if position >= missing[partition]:
                    del missing[partition]
