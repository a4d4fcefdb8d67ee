"""One lane at work: what was fetched waits here, one task handles it batch by batch, another publishes."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from schemas.topics import COMMANDS
from services.kernel.broker.interface import Broker, Consumer, Record, TopicPartition
from services.kernel.clock import Clock, backoff
from services.kernel.errors import ConfigurationError, LaneLost, RetryableError
from services.kernel.failpoints import Step, step
from services.kernel.storage.interface import Storage
from services.kernel.telemetry import log, metrics
from services.kernel.worker.relay import Relay
from services.kernel.worker.turn import Batch, Turn
from services.kernel.worker.worker import Worker

BATCH_RECORDS = 2_000
WAITING_RECORDS = 4_000
WAITING_BYTES = 16 * 1024 * 1024
"""With more than this waiting the lane's partitions are paused. It also bounds a batch, whatever a record may weigh."""
_log = log.get("lane")


class Lane:
    """Strictly sequential; every failure ends in `_reset`, which reads the truth from the database again."""

    def __init__(
        self,
        name: str,
        partitions: Iterable[TopicPartition],
        worker: Worker,
        broker: Broker,
        consumer: Consumer,
        storage: Storage,
        turn: Turn,
        clock: Clock,
        *,
        restored: bool,
    ) -> None:
        self.name = name
        self.partitions = tuple(partitions)
        self._worker = worker
        self._broker = broker
        self._consumer = consumer
        self._storage = storage
        self._turn = turn
        self._clock = clock
        self._restored = restored
        self._relay = Relay(worker, name, broker, storage, restored=restored)
        self._waiting: dict[TopicPartition, list[Record]] = {}
        self._waiting_bytes = 0
        self.positions: dict[TopicPartition, int] = {}
        """Next offset of what was handled."""
        self._fetched: dict[TopicPartition, int] = {}
        """Next offset of what was fetched."""
        self.epoch = 0
        """Rises with every seek: what was fetched before is discarded."""
        self.running = False
        self.published = True
        self._order = _causes_first(worker, self.partitions)
        self._first: list[tuple[TopicPartition, int]] = []
        """What is still read alone, in this order, and to which offset."""
        self._paused = False
        self._due = True
        self._wake = asyncio.Event()
        self._outgoing = asyncio.Event()
        self._stopping = False
        self._finished = False
        self._waits = backoff()

    # -- called by the loop's fetching side --

    def offer(self, partition: TopicPartition, records: Sequence[Record], epoch: int) -> None:
        """Take in what was fetched while `epoch` was current; anything else is discarded and fetched again."""
        if not self.running:
            return
        expected = self._fetched[partition]
        if epoch != self.epoch or records[0].offset < expected:
            self._consumer.seek(partition, expected)
            return
        self._waiting.setdefault(partition, []).extend(records)
        self._waiting_bytes += _size_of(records)
        self._fetched[partition] = records[-1].offset + 1
        self._wake.set()
        if not self._paused and self._has_enough(WAITING_RECORDS, WAITING_BYTES):
            self._paused = True
            self._consumer.pause(self.partitions)

    def wake(self, *, due: bool) -> None:
        """Look around: for transaction markers, and where `due` for timers and redriven letters."""
        self._due = self._due or due
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many fetched records wait."""
        return sum(map(len, self._waiting.values()))

    def _has_enough(self, records: int, size_bytes: int) -> bool:
        return self.waiting > records or self._waiting_bytes > size_bytes

    async def run(self) -> None:
        """Work until stopped. Only `ConfigurationError` and bugs come out."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_for_ever())
            tasks.create_task(self._handle_for_ever())

    def stop(self) -> None:
        """Finish the batch in hand, publish, take no other: `run` then returns."""
        self._stopping = True
        self.running = False
        self._wake.set()
        self._relay.numbered.set()

    async def close(self) -> None:
        """Close the lane's producer."""
        await self._relay.stop()

    # -- handling --

    async def _handle_for_ever(self) -> None:
        # A number given before it is known how far they were given would look as if its row had been published.
        await self._relay.numbered.wait()
        while not self._stopping:
            try:
                if not self.running:
                    await self._begin()
                await self._wake.wait()
                self._wake.clear()
                await self._handle_what_waits()
            except LaneLost as error:
                metrics.LANE_LOST.inc()
                await self._reset(error, next(self._waits))
            except RetryableError as error:
                metrics.RETRIES.labels(code=error.code).inc()
                await self._reset(error, next(self._waits))
        self._finished = True
        self._outgoing.set()

    async def _begin(self) -> None:
        """Learn the lane's position from the database, and fetch from there; erasures first, then what causes what."""
        positions = await self._stored_positions()
        self._first = await self._missing(positions)
        self._forget_waiting()
        self.positions = dict(positions)
        self._fetched = dict(positions)
        self.epoch += 1
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        self._consumer.resume(self.partitions)
        self._consumer.pause(self._behind_ledger())
        self._paused = False
        self._due = True
        self.running = not self._stopping
        self._wake.set()

    async def _stored_positions(self) -> dict[TopicPartition, int]:
        await self._know_stream()
        # In this order: what was told to the group afterwards must not make the database look older than it is.
        committed = await self._consumer.committed(self.partitions)
        stored = await self._storage.positions(self.name, self.partitions)
        beginnings = await self._consumer.beginnings(self.partitions)
        behind = {
            partition: offset
            for partition, offset in stored.items()
            if committed.get(partition, 0) > offset or offset < beginnings[partition]
        }
        for partition, offset in behind.items():
            if not self._restored:
                code = "records-expired-unread" if offset < beginnings[partition] else "database-restored"
                raise ConfigurationError(code, topic=partition.topic, partition=partition.partition)
        first = {p: max(beginnings[p], stored[p]) for p in behind}
        first |= {p: beginnings[p] for p in self.partitions if p not in stored}
        if first:
            with step(Step.BEGIN):
                await self._storage.begin(self.name, first, force=bool(behind))
        return {**stored, **first}

    async def _know_stream(self) -> None:
        """Tell the database which topic a partner's lane reads now: positions in a former one are forgotten.

        Where one of the platform's own topics was made anew the loop refuses to start. A partner's must not stop
        the work for all others, and what a partner says has the same effect the second time.
        """
        if self._worker.pattern is None:
            return
        topic = self._worker.anchor(self.name).topic
        found = (await self._broker.topic_ids([topic])).get(topic)
        known = await self._storage.streams()
        if found is not None and known.get(self.name) != found:
            # By lane, not by topic: the others must find out, too.
            with step(Step.STREAMS):
                await self._storage.know_streams({self.name: found})

    async def _missing(self, positions: Mapping[TopicPartition, int]) -> list[tuple[TopicPartition, int]]:
        """Return what was written before now and not handled, of each partition that others must wait for."""
        ends = await self._consumer.ends(self._order[:-1]) if self._order[:-1] else {}
        return [(each, end) for each in self._order[:-1] if (end := ends[each]) > positions[each]]

    def _behind_ledger(self) -> list[TopicPartition]:
        """Return what must wait: for the erasures known at assignment, and then for what it follows from."""
        return self._order[self._order.index(self._first[0][0]) + 1 :] if self._first else []

    async def _handle_what_waits(self) -> None:
        while self.running and (batch := self._take()):
            with metrics.BATCH_SECONDS.time():
                await self._turn.handle(self.name, batch)
            metrics.BATCH_RECORDS.observe(len(batch.records))
            # Not where the lane begins again: a batch that fails each time would be tried every moment.
            self._waits = backoff()
            self.positions.update(batch.next_offsets)
            self._outgoing.set()
            self._resume_when_drained()
        while self.running and self._due and not self._first:
            self._due = await self._turn.handle_due(self.name)
            self._outgoing.set()
        if self.running and not self.waiting:
            await self._pass_markers()

    def _take(self) -> Batch | None:
        records: list[Record] = []
        ends = {}
        for partition, waiting in self._waiting.items():
            room = BATCH_RECORDS - len(records)
            taken, self._waiting[partition] = waiting[:room], waiting[room:]
            if taken:
                records += taken
                ends[partition] = taken[-1].offset + 1
        if not records:
            return None
        self._waiting_bytes -= _size_of(records)
        return Batch(records, {partition: self.positions[partition] for partition in ends}, ends)

    def _resume_when_drained(self) -> None:
        if self._paused and not self._has_enough(BATCH_RECORDS, WAITING_BYTES // 2):
            self._paused = False
            held_back = self._behind_ledger()
            self._consumer.resume([each for each in self.partitions if each not in held_back])

    async def _pass_markers(self) -> None:
        """Move the stored position over transaction markers, so that a lane that has read everything says so."""
        moved: Mapping[TopicPartition, int] = {
            partition: position
            for partition in self.partitions
            if (position := await self._consumer.position(partition)) > self.positions[partition]
        }
        # Something may have been offered while the positions were asked for: its records are not markers.
        moved = {p: position for p, position in moved.items() if self._fetched[p] == self.positions[p]}
        if moved and not self.waiting and self.running:
            await self._turn.handle(self.name, Batch([], {p: self.positions[p] for p in moved}, moved))
            self.positions.update(moved)
            # Never back: records may have been offered while the markers were stored.
            self._fetched.update({p: max(self._fetched[p], position) for p, position in moved.items()})
        while self._first and self.positions[self._first[0][0]] >= self._first[0][1]:
            held_back = self._behind_ledger()
            self._first.pop(0)
            self._consumer.resume([each for each in held_back if each not in self._behind_ledger()])
            self._wake.set()

    async def _reset(self, error: RetryableError, wait_seconds: float) -> None:
        """Forget what was fetched; start again from what the database says."""
        _log.warning("batch given up", lane=self.name, code=error.code, error=type(error).__name__)
        self.running = False
        self._forget_waiting()
        self._consumer.pause(self.partitions)
        await self._clock.sleep(wait_seconds)
        self._wake.set()

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- publishing --

    async def _publish_for_ever(self) -> None:
        waits = backoff()
        self._outgoing.set()
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            last = self._finished
            try:
                await self._relay.publish()
                self.published = True
                waits = backoff()
            except RetryableError as error:
                self.published = False
                _log.warning(
                    "publishing given up", lane=self.name, code=error.code, error=type(error).__name__
                )
                if not last:
                    await self._clock.sleep(next(waits))
                    self._outgoing.set()
            if last:
                return


def _size_of(records: Iterable[Record]) -> int:
    return sum(record.size_bytes for record in records)


def _causes_first(worker: Worker, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Return a lane's partitions in the order in which what was written before must be read.

    A lane that is new, or was restored, has both what was said and what came of it before it: an order's delivery
    must not be read before the order. Owners begin with the erasures; the rest goes by the access matrix.
    """
    names = [topic.name for topic in worker.reads]
    if worker.rights is not None:
        names.insert(0, COMMANDS.name)
    return sorted(partitions, key=lambda each: names.index(each.topic) if each.topic in names else len(names))
