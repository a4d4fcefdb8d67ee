"""Faust, held to what it can be trusted with: reading, dealing out partitions, and filling a table from its changelog.

What it may not do here (docs/adr/0065): read what was aborted, create topics or folders, serve HTTP, write the
changelog, decide when a record is done. The only module that knows Faust's inside; it is written for 0.15.3.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT
from mode.services import WaitResults
from yarl import URL

from schemas.topics import LANES, RECOMMENDATIONS_ROWS, STATISTICS
from services.kernel.broker.driver import REBALANCE_SECONDS, available
from services.kernel.errors import ConfigurationError
from services.kernel.settings import WorkerSettings
from services.recommendations.begun import Begun

GROUP = "recommendations"
"""Also the application's id: Faust names the changelog `<id>-<table>-changelog`."""
TABLE = "rows"
COMMITTED = "read_committed"
FETCH_WAIT_MS = 100
"""Faust asks Kafka to hold an empty fetch for 1.5 s, and never says so."""
POLL_SECONDS = 0.1
"""Faust waits up to a second for the partitions that it has not yet enough of, while those wait that it had."""
COMMIT_SECONDS = 1.0
IN_HAND = 16_384
"""Records fetched and not yet taken."""
REQUEST_SECONDS = 40.0
"""Faust wants it longer than a session."""


class CommittedThread(driver.AIOKafkaConsumerThread):
    """A consumer that never sees an aborted record: Faust reads uncommitted ones unless it writes transactions."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        if not {"_isolation_level", "_fetch_max_wait_ms"} <= vars(consumer).keys():
            raise ConfigurationError("faust-unknown", field="isolation_level")
        consumer._isolation_level = COMMITTED
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class CommittedConsumer(driver.Consumer):
    """What Faust calls a consumer, over such a thread; reads the statistics only when nothing will drop what it read.

    After a recovery Faust resumes their partitions, seeks to what was committed, and only then empties its queues and
    resumes the flow: records that were read after the seek and before the emptying would never be seen again. And it
    lets a fetch that is under way see the partitions change: emptied, that set means all partitions to aiokafka.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._waiting: set[TP] = set()
        """Partitions of the statistics that are read from when the flow is resumed."""
        self._moving = asyncio.Lock()
        """Held by whoever moves the position of a partition: by fetching, or by seeking."""
        super().__init__(*arguments, **options)

    async def perform_seek(self) -> None:
        """Seek when no fetch is under way, which would move on from there."""
        async with self._moving:
            await super().perform_seek()

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop reading these, now or later."""
        paused = set(tps)
        self._waiting -= paused
        super().pause_partitions(paused)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read the changelog at once, the statistics from `resume_flow` on."""
        later = {each for each in tps if each.topic == STATISTICS.name}
        self._waiting |= later
        super().resume_partitions(set(tps) - later)

    def resume_flow(self) -> None:
        """Let the flow go on, the statistics with it."""
        super().resume_flow()
        super().resume_partitions(self._waiting)
        self._waiting.clear()

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *waits: Any, timeout: Any = None) -> Any:
        """Wait as Faust does, but begin the first here: for each record it makes four tasks, to wait for nothing."""
        if len(waits) == 2 and timeout is None and isinstance(waits[0], Coroutine):
            begun = Begun(waits[0])
            if begun.done:
                waits[1].close()
                return WaitResults([], [], stopped=False)
            waits = (begun, waits[1])
        return await super().wait_first(*waits, timeout=timeout)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        async with self._moving:
            return await super()._getmany(set(active_partitions or ()), min(timeout, POLL_SECONDS))


class Transport(driver.Transport):
    """Kafka, read committed."""

    Consumer = CommittedConsumer


class Rows(faust.Table[bytes, bytes]):
    """A table that Faust fills from its changelog and never writes there.

    Faust would send changes from a queue that nobody waits for: it commits the offsets of records whose changes have
    not reached Kafka, and forgets a change that Kafka refused. The keeper sends them, and waits.
    """

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Send nothing."""

    def on_key_del(self, key: bytes) -> None:
        """Send nothing."""


class Application(faust.App):
    """A Faust application without files, whose crash is heard of."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.bug: Exception | None = None
        super().__init__(*arguments, **options)

    @property
    def recovered(self) -> bool:
        """Whether partitions are dealt out and the table knows what the changelog knew."""
        return bool(self.tables.actives_ready) and not self.rebalancing

    def fail(self, error: BaseException) -> None:
        """Say that this application is of no more use."""
        if not self.broken.done():
            self.broken.set_exception(error)

    def heed(self, task: "asyncio.Task[Any]") -> None:
        """Note how a task that is part of this application ended."""
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Keep what our own code raises where Faust calls it: Faust would log it and go on to the next record."""
        if self.bug is not None:
            raise asyncio.CancelledError
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again where it ends the process
            self.bug = error
            raise asyncio.CancelledError from None

    def lanes(self) -> frozenset[int]:
        """Return the partitions of the statistics that are this instance's."""
        return frozenset(
            each.partition for each in self.consumer.assignment() if each.topic == STATISTICS.name
        )

    async def positions(self) -> dict[int, int]:
        """Return the offset that is read next in each partition of the statistics; raise `BrokerUnavailable`."""
        try:
            found = {
                lane: await available(self.consumer.position(TP(STATISTICS.name, lane)))
                for lane in self.lanes()
            }
        except ConsumerNotStarted:
            return {}
        return {lane: at for lane, at in found.items() if at is not None}

    def recovering(self) -> dict[int, int]:
        """Return how far the changelog has been read."""
        recovery = cast(TableManager, self.tables).recovery
        return {each.partition: at for each, at in recovery.active_offsets.items() if at is not None}

    def on_init_dependencies(self) -> Iterable[Any]:
        """Do without Faust's own statistics: they cost each record as much as ours, and nobody reads them."""
        needed = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return needed

    def _create_directories(self) -> None:
        """Create none: the table is in memory."""

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _crash(self, reason: BaseException) -> None:
        super()._crash(reason)
        self.fail(reason)


def application(settings: WorkerSettings) -> Application:
    """Return an application that may do what its principal may, and less."""
    session = settings.session_timeout_seconds
    return Application(
        GROUP,
        broker=[URL(f"kafka://{settings.kafka}")],
        broker_credentials=faust.SASLCredentials(
            username=settings.principal,
            password=settings.kafka_password.get_secret_value(),
            mechanism="SCRAM-SHA-512",
        ),
        broker_client_id=settings.instance,
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 4,
        broker_request_timeout=max(REQUEST_SECONDS, session + 5),
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_commit_interval=COMMIT_SECONDS,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=LANES,
        store="memory://",
        table_standby_replicas=0,
        stream_buffer_maxsize=IN_HAND,
        stream_recovery_delay=0,
        # Faust then leaves a partition only when every record that it handed out is done.
        stream_wait_empty=True,
        processing_guarantee="at_least_once",
        web_enabled=False,
        autodiscover=False,
        # No variable of the environment that Faust would listen to begins like this.
        env_prefix="LETHE_FAUST",
    )


def rows_of(app: Application) -> Rows:
    """Return the one table of an application; there is one, because recovery may put a row into the wrong one."""
    table = Rows(app, name=TABLE, partitions=LANES, key_type=bytes, value_type=bytes)
    app.tables.add(table)
    if table.changelog_topic_name != RECOMMENDATIONS_ROWS.name:
        raise ConfigurationError("changelog-unknown", field="table")
    return table


def statistics_of(app: AppT) -> Any:
    """Return the topic of the statistics as Faust sees it: bytes, because decoding is ours."""
    return app.topic(
        STATISTICS.name, partitions=LANES, key_type=bytes, value_type=bytes,
        key_serializer="raw", value_serializer="raw", allow_empty=True,
    )  # fmt: skip


async def rewind(settings: WorkerSettings) -> None:
    """Let the group begin again with the earliest statistic that Kafka has; no instance may be running."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, client_id=settings.instance, group_id=GROUP, enable_auto_commit=False,
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=settings.principal,
        sasl_plain_password=settings.kafka_password.get_secret_value(),
    )  # fmt: skip
    partitions = [TopicPartition(STATISTICS.name, lane) for lane in range(LANES)]
    try:
        await available(consumer.start())
        consumer.assign(partitions)
        await available(consumer.commit(await available(consumer.beginning_offsets(partitions))))
    finally:
        await consumer.stop()
