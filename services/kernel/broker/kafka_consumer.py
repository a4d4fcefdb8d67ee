"""A member of a consumer group on Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka import errors

from services.kernel.broker.driver import REBALANCE_SECONDS, REQUEST_SECONDS, available, within
from services.kernel.broker.interface import Listener, Record, TopicPartition
from services.kernel.errors import BrokerUnavailable, ConfigurationError

FETCH_RECORDS = 4_000
"""At most so many records come from one fetch."""


class KafkaConsumer:
    """A group member."""

    def __init__(
        self, make: Callable[[], aiokafka.AIOKafkaConsumer], topics: Sequence[str], pattern: str | None
    ) -> None:
        self._make = make
        self._topics = topics
        self._pattern = pattern
        self._joined: aiokafka.AIOKafkaConsumer | None = None

    @property
    def _consumer(self) -> aiokafka.AIOKafkaConsumer:
        if self._joined is None:
            raise BrokerUnavailable("not-started")
        return self._joined

    async def start(self, listener: Listener) -> None:
        self._joined = self._make()
        if self._pattern:
            self._joined.subscribe(pattern=self._pattern, listener=_Listener(listener))
        else:
            self._joined.subscribe(topics=list(self._topics), listener=_Listener(listener))
        try:
            await available(within(REBALANCE_SECONDS, self._joined.start()))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        consumer, self._joined = self._joined, None
        if consumer is not None:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                await within(REQUEST_SECONDS, consumer.stop())

    async def fetch(self, timeout_seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            fetched = await self._consumer.getmany(
                timeout_ms=int(timeout_seconds * 1000), max_records=FETCH_RECORDS
            )
        except errors.NoOffsetForPartitionError:
            # Assigned a moment ago, and the loop has not sought yet: nothing to fetch from.
            await asyncio.sleep(0.05)
            return {}
        except errors.OffsetOutOfRangeError:
            raise ConfigurationError("position-gone") from None
        except (errors.KafkaError, OSError, AssertionError) as error:
            raise BrokerUnavailable(type(error).__name__) from None
        return {
            TopicPartition(*partition): [
                Record(each.topic, each.partition, each.offset, each.key, each.value, each.headers)
                for each in records
            ]
            for partition, records in fetched.items()
        }

    def seek(self, partition: TopicPartition, offset: int) -> None:
        # Between a changed subscription (a partner's topic has appeared) and its assignment aiokafka has neither.
        with suppress(errors.IllegalStateError, AssertionError):
            self._consumer.seek(aiokafka.TopicPartition(*partition), offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.pause(*self._ours(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume(*self._ours(partitions))

    async def position(self, partition: TopicPartition) -> int:
        asked: Awaitable[int] = self._consumer.position(aiokafka.TopicPartition(*partition))
        return await available(asked)

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found = {}
        for partition in partitions:
            offset = await available(self._consumer.committed(aiokafka.TopicPartition(*partition)))
            if offset is not None:
                found[partition] = offset
        return found

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return by_partition(
            await available(self._consumer.end_offsets([aiokafka.TopicPartition(*p) for p in partitions]))
        )

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = [aiokafka.TopicPartition(*partition) for partition in partitions]
        return by_partition(await available(self._consumer.beginning_offsets(asked)))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        mine = set(self._consumer.assignment())
        named = {aiokafka.TopicPartition(*partition): offset for partition, offset in offsets.items()}
        held = {partition: offset for partition, offset in named.items() if partition in mine}
        if held:
            # aiokafka retries a commit without limit.
            await available(within(REQUEST_SECONDS, self._consumer.commit(held)))

    def _ours(self, partitions: Iterable[TopicPartition]) -> list[aiokafka.TopicPartition]:
        assigned = self._consumer.assignment()
        named = [aiokafka.TopicPartition(*partition) for partition in partitions]
        return [partition for partition in named if partition in assigned]


class _Listener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Iterable[aiokafka.TopicPartition]) -> None:
        if revoked:  # aiokafka also calls this before the very first assignment.
            await self._listener.revoked([TopicPartition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[aiokafka.TopicPartition]) -> None:
        await self._listener.assigned([TopicPartition(*partition) for partition in assigned])


def by_partition(offsets: Mapping[Any, int]) -> dict[TopicPartition, int]:
    return {TopicPartition(*partition): offset for partition, offset in offsets.items()}
