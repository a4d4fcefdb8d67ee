"""Serves nobody until everything is known: a restored keyring would hand out keys that were destroyed since."""

import asyncio

from schemas.topics import COMMANDS, HOLDS
from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.errors import RetryableError
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log
from services.kernel.worker.background import Background
from services.kernel.worker.level import POLL_SECONDS, Level

PARTITIONS = tuple(
    TopicPartition(topic.name, number) for topic in (HOLDS, COMMANDS) for number in range(topic.partitions)
)
_log = log.get("readiness")


class Replay(Background):
    """A part of the keyring's process: ready once holds and commands are read to where they ended at start."""

    def __init__(self, broker: Broker, storage: Storage) -> None:
        self._level = Level(broker, storage, PARTITIONS)

    @property
    def ready(self) -> bool:
        """Whether nothing said before this process started is unknown to it."""
        return self._level.reached

    async def start(self) -> None:
        """Note where the topics end now; raises `BrokerUnavailable`."""
        await self._level.mark()
        await super().start()

    async def _work(self) -> None:
        while not self._level.reached:
            try:
                await self._level.look()
            except RetryableError as error:
                _log.info("progress unknown", code=error.code)
            await asyncio.sleep(POLL_SECONDS)
        _log.info("holds and commands replayed")
