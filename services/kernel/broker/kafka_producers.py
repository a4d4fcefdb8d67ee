"""Kafka's two kinds of producer: one transactional per lane, and a plain one for who has no outbox."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiokafka
from aiokafka import errors
from aiokafka.structs import OffsetAndMetadata

from services.kernel.broker.driver import REBALANCE_SECONDS, available, hang_up, within
from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.broker.partition import partition_of
from services.kernel.errors import BrokerUnavailable
from services.kernel.failpoints import Step, after, before, step


class KafkaOutbox:
    """The transactional producer of one lane."""

    def __init__(
        self,
        make: Callable[[], aiokafka.AIOKafkaProducer],
        position: Callable[[str, TopicPartition], Awaitable[int]],
        group: str,
        lane: TopicPartition,
    ) -> None:
        self._make = make
        self._position = position
        self._group = group
        self._lane = lane
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def start(self) -> int:
        self._producer = self._make()
        await available(within(REBALANCE_SECONDS, self._producer.start()))
        return await available(self._position(self._group, self._lane))

    async def publish(
        self, messages: Sequence[Message], number: int, valid: Callable[[], None] = lambda: None
    ) -> None:
        await available(within(REBALANCE_SECONDS, self._publish(messages, number, valid)))

    async def _publish(self, messages: Sequence[Message], number: int, valid: Callable[[], None]) -> None:
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("not-started")
        position = {aiokafka.TopicPartition(*self._lane): OffsetAndMetadata(number, "")}
        async with producer.transaction():
            with step(Step.SEND):
                await _send(producer, messages)
                await producer.send_offsets_to_transaction(position, self._group)
            valid()
            before(Step.PUBLISH)
        after(Step.PUBLISH)

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        await hang_up(producer)


class KafkaProducer:
    """An idempotent producer; after an error a fresh one takes over, because a failed sequence stays failed."""

    def __init__(self, make: Callable[[], aiokafka.AIOKafkaProducer]) -> None:
        self._make = make
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        async with self._starting:
            if self._producer is None:
                self._producer = self._make()
                try:
                    await available(within(REBALANCE_SECONDS, self._producer.start()))
                except BaseException:
                    await self.stop()
                    raise

    async def send(self, messages: Sequence[Message]) -> None:
        await self.start()
        producer = self._producer
        try:
            await available(within(REBALANCE_SECONDS, _send(producer, messages)))
        except BrokerUnavailable:
            if self._producer is producer:
                await self.stop()
            raise

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        await hang_up(producer)


async def _send(producer: Any, messages: Sequence[Message]) -> None:
    """Hand over whole batches per partition and wait until all are acknowledged; order per partition is kept."""
    waiting = []
    for (topic, partition), group in (await _by_partition(producer, messages)).items():
        batch = producer.create_batch()
        for message in group:
            while (
                batch.append(
                    key=message.key,
                    value=message.value,
                    timestamp=message.timestamp_ms,
                    headers=list(message.headers),
                )
                is None
            ):
                if batch.record_count() == 0:
                    raise errors.MessageSizeTooLargeError
                waiting.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
        waiting.append(await producer.send_batch(batch, topic, partition=partition))
    if waiting:
        await asyncio.gather(*waiting)


async def _by_partition(producer: Any, messages: Sequence[Message]) -> dict[tuple[str, int], list[Message]]:
    found: dict[tuple[str, int], list[Message]] = defaultdict(list)
    # Asked for once: the driver looks through everything it knows of a topic to answer.
    topics = {message.topic for message in messages if message.partition is None}
    counts = {topic: len(await producer.partitions_for(topic)) for topic in topics}
    for message in messages:
        partition = message.partition
        if partition is None:
            partition = partition_of(message.key, counts[message.topic])
        found[message.topic, partition].append(message)
    return found
