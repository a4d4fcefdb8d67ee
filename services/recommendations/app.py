"""The recommendations worker, composed in one place: Faust reads, the keeper remembers and tells."""

import asyncio
import os
import signal
import sys
from typing import Any

from services.kernel.broker.driver import within
from services.kernel.broker.interface import Producer, Record
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.clock import SystemClock, backoff
from services.kernel.errors import RetryableError
from services.kernel.settings import WorkerSettings
from services.kernel.telemetry import log
from services.kernel.telemetry.health import Health
from services.recommendations.fence import Application, application, rewind, rows_of, statistics_of
from services.recommendations.keeper import Keeper
from services.recommendations.settings import Settings
from services.recommendations.watch import Watch

ROUND_SECONDS = 0.05
STOP_SECONDS = 6.0
"""So long Faust may take to stop; after that it is left to die with the process, which loses nothing."""
_log = log.get("recommendations")


class Process:
    """Runs Faust, and runs it again when it breaks: what it knew is in Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = KafkaBroker(settings)
        self._producer = self._broker.producer()
        self._stopping = asyncio.Event()
        self._app: Application | None = None

    def ready(self) -> bool:
        """Whether partitions are dealt out and everything is known again."""
        return self._app is not None and self._app.recovered

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        async with Health(port=self._settings.health_port, ready=self.ready) as health:
            _log.info("started", port=health.port)
            await self._begin()
            for wait_seconds in backoff():
                if self._stopping.is_set():
                    break
                await self._run_faust()
                await self._pause(wait_seconds)
            await self._producer.stop()
            await self._broker.stop()
        _log.info("stopped")

    async def _begin(self) -> None:
        """Return when Kafka is there: Faust does not survive its absence at the start."""
        for wait_seconds in backoff():
            if self._stopping.is_set():
                return
            try:
                await self._producer.start()
                if self._settings.rebuild:
                    await rewind(self._settings)
                return
            except RetryableError as error:
                _log.warning("not available yet", error=type(error).__name__, code=error.code)
                await self._pause(wait_seconds)

    async def _run_faust(self) -> None:
        """Run one application to its end: asked to stop, or broken. A bug of our own ends the process, with 1."""
        app = self._app = application(self._settings)
        keeper = wired(app, self._producer, self._settings)
        own = asyncio.create_task(_rounds(app, keeper))
        faust = [asyncio.create_task(app.start()), asyncio.create_task(Watch(app, self._broker).run())]
        for task in faust:
            task.add_done_callback(app.heed)
        asked = asyncio.create_task(self._stopping.wait())
        ends: list[asyncio.Future[Any]] = [asked, app.broken, own]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if app.broken.done() and (error := app.broken.exception()):
            _log.warning("faust broke", **log.told(error))
        if app.bug is not None:
            # Faust would wait for the record that our code could not take.
            _log.error("bug", **log.told(app.bug))
        clean = app.bug is None and await _stopped(app)
        for task in (own, *faust):
            task.cancel()
        if not clean:
            # Faust's threads would keep the interpreter, or a second member of the group live on in this process.
            sys.stdout.flush()
            os._exit(1 if app.bug is not None or not self._stopping.is_set() else 0)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until asked to stop."""
        asked = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([asked], timeout=seconds)
        asked.cancel()


def wired(app: Application, producer: Producer, settings: Settings) -> Keeper:
    """Return the keeper of an application's table, and give it every statistic that Faust reads."""
    rows = rows_of(app)
    keeper = Keeper(
        rows, producer, SystemClock(), quiet_seconds=settings.quiet_seconds, policy=settings.policy_version,
        ours=lambda: app.recovered,
    )  # fmt: skip

    @app.agent(statistics_of(app), concurrency=1)
    async def read(stream: Any) -> None:
        # Without acknowledgement by Faust: it would acknowledge also what raised, and what is not saved yet.
        async for event in stream.noack().events():
            with app.ours():
                keeper.take(_record(event), event.ack)
                while keeper.full:
                    await keeper.save()

    @rows.on_recover
    async def recovered() -> None:
        with app.ours():
            await keeper.recover(app.lanes())

    return keeper


async def _rounds(app: Application, keeper: Keeper) -> None:
    """Save and tell, again and again, until something is wrong with our own code, here or where Faust called it."""
    while app.bug is None:
        with app.ours():
            await keeper.save()
            await keeper.tell()
        await asyncio.sleep(ROUND_SECONDS)


def _record(event: Any) -> Record:
    message = event.message
    return Record(
        message.topic, message.partition, message.offset, event.key, event.value, message.headers or ()
    )


async def _stopped(app: Application) -> bool:
    """Stop Faust; say whether it did."""
    try:
        await within(STOP_SECONDS, app.stop())
    except Exception as error:  # noqa: BLE001 - whatever it raises, what it knew is in Kafka
        _log.warning("faust stopped badly", **log.told(error))
        return False
    return True


async def run(settings: WorkerSettings) -> None:
    """Run the worker until it is asked to stop."""
    assert isinstance(settings, Settings)
    await Process(settings).run()
