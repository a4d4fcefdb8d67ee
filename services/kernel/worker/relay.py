"""From the outbox to Kafka: every row exactly once, in order, whoever owned the lane before."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from services.kernel.broker.interface import Broker, Message, OutboxProducer
from services.kernel.errors import ConfigurationError
from services.kernel.failpoints import Step, step
from services.kernel.storage.interface import OutboxRow, Storage
from services.kernel.telemetry import log, metrics
from services.kernel.worker.outgoing import partition_for
from services.kernel.worker.worker import Outbound, Prepared, Worker

PAGE_ROWS = 1_000
_log = log.get("relay")


class Relay:
    """Publishes one lane's outbox, from the table only, oldest first, under one transactional producer."""

    def __init__(
        self, worker: Worker, lane: str, broker: Broker, storage: Storage, *, restored: bool = False
    ) -> None:
        """With `restored` what partners' topics already hold is not published there again."""
        self._worker = worker
        self._lane = lane
        self._broker = broker
        self._storage = storage
        self._restored = restored
        self._producer: OutboxProducer | None = None
        self._told: dict[str, frozenset[str]] = {}
        """By partner topic: the events it held when a restored lane first wrote to it."""
        self.numbered = asyncio.Event()
        """Set once it is known how far numbers were given: nothing may be handled before."""

    async def start(self) -> None:
        """Fence the previous owner, learn what it published, publish the rest.

        A counter below the published position betrays a restored database, whose numbers would be used twice.
        """
        await self.stop()
        self._producer = self._broker.outbox(self._worker.name, self._worker.anchor(self._lane))
        try:
            with step(Step.TAKE_OVER):
                position = await self._producer.start()
            await self._forget_published(position)
        except BaseException:
            # A producer that has fenced, beside a table that still holds what is on Kafka, would publish it twice.
            await self.stop()
            raise
        await self.publish()

    async def _forget_published(self, position: int) -> None:
        last = await self._storage.last_number(self._lane)
        if last < position:
            if not self._restored:
                raise ConfigurationError("database-restored", lane=self._lane)
            with step(Step.RECALL):
                await self._storage.raise_number(self._lane, position)
        with step(Step.RECALL):
            await self._storage.published(self._lane, position)
        self.numbered.set()

    async def publish(self) -> None:
        """Publish until the table is empty. On any error the producer is spent: `start` again."""
        if self._producer is None:
            await self.start()
            return
        try:
            while rows := await self._storage.outbox(self._lane, PAGE_ROWS):
                await self._publish(self._producer, rows)
                if len(rows) < PAGE_ROWS:
                    break
        except BaseException:
            await self.stop()
            raise

    async def _publish(self, producer: OutboxProducer, rows: Sequence[OutboxRow]) -> None:
        news = [row for row in rows if not await self._told_before(row)] if self._restored else rows
        prepared = await _prepared(news, self._worker.outbound)
        messages = [message for message in prepared.messages if message is not None]
        with metrics.RELAY_SECONDS.time():
            await producer.publish(messages, rows[-1].number, prepared.valid)
        with step(Step.FORGET):
            await self._storage.published(self._lane, rows[-1].number)
        for topic, count in Counter(message.topic for message in messages).items():
            metrics.RELAY_PUBLISHED.labels(topic=topic).inc(count)
        if len(messages) < len(rows):
            _log.info("rows dropped before publishing", lane=self._lane, count=len(rows) - len(messages))

    async def _told_before(self, row: OutboxRow) -> bool:
        """Whether a partner reads this already: a restored lane decides again what it had decided before.

        Workers of ours take a repeat for one. A partner who reads of a parcel twice sends two.
        """
        if partition_for(row) is not None:
            return False
        if row.topic not in self._told:
            self._told[row.topic] = await self._broker.event_ids(row.topic)
        return any(name == "ce_id" and value.decode() in self._told[row.topic] for name, value in row.headers)

    async def stop(self) -> None:
        """Close the producer; what is not published stays in the table."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


async def _prepared(rows: Sequence[OutboxRow], outbound: Outbound | None) -> Prepared:
    """Return what leaves: rows as they are, but for those that a partner's copy is made of."""
    theirs = [row for row in rows if row.partner is not None]
    if not theirs:
        return Prepared([_message(row) for row in rows])
    if outbound is None:
        raise ConfigurationError("outbound-missing")
    with step(Step.PREPARE):
        made = await outbound.prepare(theirs)
    copies = iter(made.messages)
    return Prepared([next(copies) if row.partner is not None else _message(row) for row in rows], made.valid)


def _message(row: OutboxRow) -> Message:
    return Message(row.topic, row.key.encode(), row.value, row.headers, partition_for(row))
