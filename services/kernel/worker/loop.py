"""Fetches for one worker and hands records to its lanes; follows rebalances; tells the group's progress."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from services.kernel.broker.interface import Broker, TopicPartition
from services.kernel.clock import Clock, SystemClock, backoff
from services.kernel.errors import BrokerUnavailable, ConfigurationError, RetryableError
from services.kernel.failpoints import Step, step
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log, metrics
from services.kernel.worker.breaker import Breaker
from services.kernel.worker.decode import Decoder
from services.kernel.worker.lane import Lane
from services.kernel.worker.turn import Turn
from services.kernel.worker.watch import Watch
from services.kernel.worker.worker import Worker

FETCH_SECONDS = 0.2
TICK_SECONDS = 0.5
COMMIT_SECONDS = 1.0
REJOIN_SECONDS = 30.0
"""A consumer that has only failed for so long is replaced: the driver does not survive every error by itself."""
REVOKE_SECONDS = 9.0
"""How long a rebalance waits for batches in hand: longer than a statement may take, shorter than the group waits."""
_log = log.get("loop")


class Loop:
    """One worker in one process. `run` ends when `stop` is called, or raises what an operator must see."""

    def __init__(
        self,
        worker: Worker,
        broker: Broker,
        storage: Storage,
        *,
        policy: str = "1",
        restored: bool = False,
        exempt: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        after: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`after` returns when this worker may begin; it raises `RetryableError` until then."""
        self._worker = worker
        self._broker = broker
        self._storage = storage
        self._restored = restored
        self._after = after
        self._clock = clock or SystemClock()
        self._turn = Turn(worker, storage, Decoder(worker), policy, Breaker(exempt))
        self._consumer = broker.consumer(
            worker.name, [topic.name for topic in worker.reads], pattern=worker.pattern
        )
        self._watch = Watch(self._consumer, storage, self._clock, self._positions)
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None
        self._joined = False
        self._failing_since: float | None = None

    @property
    def ready(self) -> bool:
        """Whether the group was joined, every lane of ours works and publishes, Kafka and the database answer."""
        if self._stopping.is_set():
            # It has let go of its lanes: what it says of none of them must not pass for a start that went well.
            return False
        working = all(lane.running and lane.published for lane in self._lanes.values())
        return self._joined and working and self._failing_since is None and self._watch.answered

    def stop(self) -> None:
        """Ask `run` to finish what is in hand and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`; leave the group in order. Raises `ConfigurationError`, or the bug that ended it."""
        if self._after is not None:
            await self._until_available(self._after)
        await self._until_available(self._know_streams)
        await self._until_available(self._join)
        fetching = asyncio.create_task(self._watched(self._fetch_for_ever))
        others = [
            asyncio.create_task(self._watched(each))
            for each in (self._tick, self._tell_progress, self._watch.run)
        ]
        try:
            await self._stopping.wait()
        finally:
            await self._finish(fetching, others)
        if self._failed is not None:
            raise self._failed

    # -- rebalances: called from the consumer's own task --

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Start a lane for each group of partitions; it finds its own position."""
        if self._stopping.is_set():
            return
        lanes = defaultdict(list)
        for partition in partitions:
            lanes[self._worker.lane(partition)].append(partition)
        for name, members in lanes.items():
            lane = Lane(
                name, members, self._worker, self._broker, self._consumer, self._storage, self._turn, self._clock,
                restored=self._restored,
            )  # fmt: skip
            self._lanes[name] = lane
            self._tasks[name] = asyncio.create_task(self._run_lane(lane))
        self._joined = True
        metrics.LANES_OWNED.labels(self._worker.name).set(len(self._lanes))

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Let batches in hand finish, then let go; a batch that does not finish loses at the lane lock."""
        names = {self._worker.lane(partition) for partition in partitions}
        await self._let_go([self._lanes.pop(name) for name in names if name in self._lanes])
        metrics.LANES_OWNED.labels(self._worker.name).set(len(self._lanes))

    async def _let_go(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            lane.stop()
        tasks = [self._tasks.pop(lane.name) for lane in lanes]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=REVOKE_SECONDS)
            for task in late:
                _log.warning("batch did not finish in time", count=len(late))
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(lane.close() for lane in lanes), return_exceptions=True)

    async def _run_lane(self, lane: Lane) -> None:
        try:
            await lane.run()
        except asyncio.CancelledError:
            raise
        except BaseExceptionGroup as group:
            self._fail(group.exceptions[0])

    def _fail(self, error: BaseException) -> None:
        _log.error(
            "worker stops", error=type(error).__name__, code=getattr(error, "code", "bug"), exc_info=error
        )
        self._failed = self._failed or error
        self._stopping.set()

    # -- the long-lived tasks --

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run one of these tasks; a bug in it must end the worker, not its reading or its timers in silence."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - ends the worker, whatever it is
            self._fail(error)

    async def _fetch_for_ever(self) -> None:
        waits = backoff()
        while not self._stopping.is_set():
            epochs = {name: lane.epoch for name, lane in self._lanes.items()}
            try:
                with step(Step.FETCH):
                    fetched = await self._consumer.fetch(FETCH_SECONDS)
                waits, self._failing_since = backoff(), None
            except BrokerUnavailable as error:
                await self._rejoin_if_hopeless(error)
                await self._clock.sleep(next(waits))
                continue
            for partition, records in fetched.items():
                name = self._worker.lane(partition)
                if records and name in self._lanes:
                    self._lanes[name].offer(partition, records, epochs.get(name, -1))

    async def _rejoin_if_hopeless(self, error: BrokerUnavailable) -> None:
        now = self._clock.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since < REJOIN_SECONDS:
            return
        _log.warning("consumer replaced", code=error.code)
        await self.revoked([each for lane in self._lanes.values() for each in lane.partitions])
        await self._consumer.stop()
        self._joined, self._failing_since = False, None
        await self._until_available(self._join)

    async def _tick(self) -> None:
        while not self._stopping.is_set():
            await self._clock.sleep(TICK_SECONDS)
            try:
                due = await self._storage.waiting()
            except RetryableError:
                continue
            for lane in list(self._lanes.values()):
                lane.wake(due=lane.name in due)

    async def _tell_progress(self) -> None:
        told: dict[TopicPartition, int] = {}
        while not self._stopping.is_set():
            await self._clock.sleep(COMMIT_SECONDS)
            told = await self._commit(told)

    def _positions(self) -> dict[TopicPartition, int]:
        return {p: offset for lane in list(self._lanes.values()) for p, offset in lane.positions.items()}

    async def _commit(self, told: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        positions = self._positions()
        news = {partition: offset for partition, offset in positions.items() if told.get(partition) != offset}
        try:
            if news:
                with step(Step.TELL):
                    await self._consumer.commit(news)
        except RetryableError as error:
            _log.info("progress not told", code=error.code)
            return told
        return positions

    async def _finish(self, fetching: asyncio.Task[None], others: list[asyncio.Task[None]]) -> None:
        for task in others:
            task.cancel()
        lanes = list(self._lanes.values())
        # Taken away first: a rebalance that comes in now has nothing of ours to let go of twice.
        self._lanes.clear()
        await self._let_go(lanes)
        positions = {p: offset for lane in lanes for p, offset in lane.positions.items()}
        # One cancelled fetch disables the consumer's watchdog for good, so this one ends by itself.
        self._stopping.set()
        await asyncio.gather(fetching, *others, return_exceptions=True)
        # Advisory: the database has the truth.
        with suppress(RetryableError), step(Step.TELL):
            await self._consumer.commit(positions)
        await self._consumer.stop()

    # -- starting --

    async def _know_streams(self) -> None:
        """Refuse a topic that is missing or was made anew: its offsets would mean other records."""
        names = [topic.name for topic in self._worker.reads]
        ids = await self._broker.topic_ids(names)
        missing = sorted(set(names) - set(ids))
        if missing:
            raise BrokerUnavailable("topic-missing", topic=missing[0])
        known = await self._storage.streams()
        changed = [name for name in names if known.get(name, ids[name]) != ids[name]]
        if changed and not self._restored:
            raise ConfigurationError("topic-recreated", topic=changed[0])
        if changed or set(names) - set(known):
            with step(Step.STREAMS):
                await self._storage.know_streams(ids)

    async def _join(self) -> None:
        with step(Step.JOIN):
            await self._consumer.start(self)

    async def _until_available(self, start: Callable[[], Awaitable[None]]) -> None:
        for wait_seconds in backoff():
            if self._stopping.is_set():
                return
            try:
                await start()
                return
            except RetryableError as error:
                _log.warning("not available yet", error=type(error).__name__, code=error.code)
                await self._clock.sleep(wait_seconds)
