"""One process: real parts, health, signals, exit codes. What `python -m services.<worker>` runs."""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

import uvloop

from services.kernel import failpoints
from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.clock import backoff
from services.kernel.errors import ConfigurationError, RetryableError
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log
from services.kernel.telemetry.health import Health
from services.kernel.worker.background import STOPPING
from services.kernel.worker.level import Level
from services.kernel.worker.loop import Loop
from services.kernel.worker.worker import Worker

REFUSED = 78
"""Exit code of a process that refuses its configuration (EX_CONFIG of sysexits.h)."""
COLLECT_AFTER = 50_000
"""So many more containers than before make the garbage collector look. A batch makes that many, none of them in
cycles, and with Python's 700 the collector walks through all that waits again and again, to find nothing."""
_log = log.get("process")


class Part(Protocol):
    """Something else the process does beside its loops (an HTTP server)."""

    async def start(self) -> None:
        """Begin; returns when serving."""

    async def stop(self) -> None:
        """Finish what is in hand and end."""

    @property
    def ready(self) -> bool:
        """Whether it serves."""


Compose = Callable[[Broker, Storage], Awaitable[tuple[Sequence[Worker], Sequence[Part]]]]


def main(
    settings: Callable[[], WorkerSettings], run: Callable[[WorkerSettings], Coroutine[Any, Any, None]]
) -> None:
    """Run a worker until SIGTERM; exit 0 then, 78 when it refuses to start or go on like this, 1 for a bug."""
    # A core dump of a process that handles keys would be a copy of them.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        known = settings()
        log.configure(known.instance)
        if armed := failpoints.arm(os.environ, lambda: _log.warning("failpoint reached", code=armed)):
            _log.warning("failpoint armed", code=armed)
        uvloop.run(run(known))
    except ConfigurationError as error:
        _log.error("refused", code=error.code, **error.fields)
        sys.exit(REFUSED)


async def serve(settings: WorkerSettings, storage: Storage, compose: Compose) -> None:
    """Start the parts, run the loops, stop in order. Returns after SIGTERM or SIGINT; raises the bug that ended it."""
    stopping = asyncio.Event()
    STOPPING.set(stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    loops: list[Loop] = []
    parts: list[Part] = []
    started = False

    def ready() -> bool:
        return started and all(loop.ready for loop in loops) and all(part.ready for part in parts)

    async with AsyncExitStack() as stack:
        health = Health(port=settings.health_port, ready=ready)
        await stack.enter_async_context(health)
        _log.info("started", port=health.port)
        await _until_available(storage.start, stopping)
        stack.push_async_callback(storage.stop)
        broker = KafkaBroker(settings)
        stack.push_async_callback(broker.stop)
        if not stopping.is_set():
            workers, made = await compose(broker, storage)
            parts += made
            for part in parts:
                await _until_available(part.start, stopping)
                stack.push_async_callback(part.stop)
            level = _level(workers, broker, storage)
            loops += [_loop(worker, broker, storage, settings, level) for worker in workers]
            started = True
            gc.freeze()
            gc.set_threshold(COLLECT_AFTER)
            await _run(loops, stopping)
    _log.info("stopped")


def _level(workers: Sequence[Worker], broker: Broker, storage: Storage) -> Level:
    """Return what a worker of partners' topics waits for: what a partner reports is known by our own records.

    Where the past is still to be read, in a new or restored database, it would otherwise know nothing.
    """
    topics = [topic for worker in workers for topic in worker.reads]
    partitions = [TopicPartition(each.name, number) for each in topics for number in range(each.partitions)]
    return Level(broker, storage, partitions)


def _loop(worker: Worker, broker: Broker, storage: Storage, settings: WorkerSettings, level: Level) -> Loop:
    return Loop(
        worker, broker, storage, policy=settings.policy_version, restored=settings.restored,
        exempt=settings.breaker_exempt, after=level if worker.pattern else None,
    )  # fmt: skip


async def _run(loops: Sequence[Loop], stopping: asyncio.Event) -> None:
    """Run all loops; the end of one ends all."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    for loop in loops:
        loop.stop()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _until_available(start: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    for wait_seconds in backoff():
        if stopping.is_set():
            return
        try:
            await start()
            return
        except RetryableError as error:
            _log.warning("not available yet", error=type(error).__name__, code=error.code)
            await asyncio.sleep(wait_seconds)
