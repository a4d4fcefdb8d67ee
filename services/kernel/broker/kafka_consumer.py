"""A member of a consumer group on Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka import errors

from services.kernel.broker.driver import REBALANCE_SECONDS, REQUEST_SECONDS, available, hang_up, within
from services.kernel.broker.interface import Listener, Record, TopicPartition
from services.kernel.broker.unpacking import UNREADABLE
from services.kernel.errors import BrokerUnavailable, ConfigurationError

FETCH_RECORDS = 4_000
"""At most so many records come from one fetch."""
UNSOUGHT_SECONDS = 0.05
"""How often to look whether a lane knows its position by now."""
REFETCH_SECONDS = 0.2
"""Enough for the driver to have again what it let go of."""
MOST_ALONE = 500
"""Records of one partition that are read one by one."""


class KafkaConsumer:
    """A group member."""

    def __init__(
        self, make: Callable[[], aiokafka.AIOKafkaConsumer], topics: Sequence[str], pattern: str | None
    ) -> None:
        self._make = make
        self._topics = topics
        self._pattern = pattern
        self._joined: aiokafka.AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}
        """From where to fetch again what the driver had in hand when it failed."""

    @property
    def _consumer(self) -> aiokafka.AIOKafkaConsumer:
        if self._joined is None:
            raise BrokerUnavailable("not-started")
        return self._joined

    async def start(self, listener: Listener) -> None:
        self._joined = self._make()
        if self._pattern:
            self._joined.subscribe(pattern=self._pattern, listener=_Listener(listener, self._next))
        else:
            self._joined.subscribe(topics=list(self._topics), listener=_Listener(listener, self._next))
        try:
            await available(within(REBALANCE_SECONDS, self._joined.start()))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        consumer, self._joined = self._joined, None
        await hang_up(consumer)

    async def fetch(self, timeout_seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            fetched = await self._consumer.getmany(
                timeout_ms=int(timeout_seconds * 1000), max_records=FETCH_RECORDS
            )
        except errors.NoOffsetForPartitionError:
            # Assigned a moment ago, and the loop has not sought yet: nothing to fetch from.
            await asyncio.sleep(UNSOUGHT_SECONDS)
            return {}
        except errors.OffsetOutOfRangeError as error:
            self._fetch_again()
            self._refuse_what_is_gone(*error.args)
            await asyncio.sleep(UNSOUGHT_SECONDS)
            return {}
        except (errors.KafkaError, OSError, AssertionError) as error:
            self._fetch_again()
            raise BrokerUnavailable(type(error).__name__) from None
        except UnicodeDecodeError:
            self._fetch_again()
            return await self._past_what_is_no_text()
        found = {TopicPartition(*partition): _records(records) for partition, records in fetched.items()}
        self._next.update(
            {partition: records[-1].offset + 1 for partition, records in found.items() if records}
        )
        return found

    def _fetch_again(self) -> None:
        """Go back to where the last whole fetch ended: one that fails midway has lost what it had read by then."""
        for partition in self._ours(self._next):
            self.seek(TopicPartition(*partition), self._next[TopicPartition(*partition)])

    def _refuse_what_is_gone(self, asked: Mapping[aiokafka.TopicPartition, int]) -> None:
        """Raise for a position that was sought.

        Until then the driver fetches by itself from where the group was: advisory, and it may be gone where the
        database is ahead, or an operator has said that what expired is lost.
        """
        for (topic, number), offset in asked.items():
            if self._next.get(TopicPartition(topic, number)) == offset:
                raise ConfigurationError("position-gone", topic=topic, partition=number) from None

    async def _past_what_is_no_text(self) -> Mapping[TopicPartition, Sequence[Record]]:
        """Read record by record; the one that the driver cannot decode comes out without its contents.

        Kafka has bytes for a header's name, and takes any from a foreign client; the driver insists on text, and
        would fail on the same record for ever.
        """
        await asyncio.sleep(REFETCH_SECONDS)
        found = {TopicPartition(*each): await self._alone(each) for each in self._ours(self._next)}
        return {partition: records for partition, records in found.items() if records}

    async def _alone(self, asked: aiokafka.TopicPartition) -> list[Record]:
        partition = TopicPartition(*asked)
        records: list[Record] = []
        while len(records) < MOST_ALONE:
            try:
                fetched = await self._consumer.getmany(asked, timeout_ms=0, max_records=1)
            except UnicodeDecodeError:
                offset = self._next[partition]
                self.seek(partition, offset + 1)
                return [
                    *records,
                    Record(partition.topic, partition.partition, offset, None, None, UNREADABLE),
                ]
            except (errors.KafkaError, OSError, AssertionError):
                self._fetch_again()
                break
            if not fetched:
                break
            records += _records(fetched[asked])
            self._next[partition] = records[-1].offset + 1
        return records

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset
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


def _records(fetched: Iterable[Any]) -> list[Record]:
    return [
        Record(each.topic, each.partition, each.offset, each.key, each.value, each.headers)
        for each in fetched
    ]


class _Listener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, listener: Listener, sought: dict[TopicPartition, int]) -> None:
        self._listener = listener
        self._sought = sought

    async def on_partitions_revoked(self, revoked: Iterable[aiokafka.TopicPartition]) -> None:
        if revoked:  # aiokafka also calls this before the very first assignment.
            await self._listener.revoked([TopicPartition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[aiokafka.TopicPartition]) -> None:
        named = [TopicPartition(*partition) for partition in assigned]
        for partition in named:
            # From when it was ours before: others may have read on since.
            self._sought.pop(partition, None)
        await self._listener.assigned(named)


def by_partition(offsets: Mapping[Any, int]) -> dict[TopicPartition, int]:
    return {TopicPartition(*partition): offset for partition, offset in offsets.items()}
