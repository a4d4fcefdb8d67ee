"""The real broker: aiokafka for records, confluent's admin client for what aiokafka cannot ask (topic ids)."""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import aiokafka
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from services.kernel.broker.assignor import LaneAssignor
from services.kernel.broker.interface import Listener, Message, Record, TopicPartition
from services.kernel.broker.partition import partition_of
from services.kernel.errors import BrokerUnavailable, ConfigurationError, LaneLost
from services.kernel.settings import WorkerSettings

T = TypeVar("T")
FETCH_RECORDS = 4_000
REBALANCE_SECONDS = 30
TRANSACTION_SECONDS = 10
"""A hung owner's open transaction hides what others publish behind it for at most this long."""
REQUEST_SECONDS = 10
BATCH_BYTES = 256 * 1024

_FENCED = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.InvalidProducerIdMapping)


class KafkaBroker:
    """Everything one process asks of Kafka, as one principal."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._security = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.principal,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
        self._common: dict[str, Any] = {
            "bootstrap_servers": settings.kafka,
            "client_id": settings.instance,
            "request_timeout_ms": REQUEST_SECONDS * 1000,
            **self._security,
        }
        self._admin: AIOKafkaAdminClient | None = None
        self._admin_lock = asyncio.Lock()

    def consumer(self, group: str, topics: Sequence[str], *, pattern: str | None = None) -> "KafkaConsumer":
        session_ms = int(self._settings.session_timeout_seconds * 1000)
        make = functools.partial(
            aiokafka.AIOKafkaConsumer,
            **self._common,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            rebalance_timeout_ms=REBALANCE_SECONDS * 1000,
            max_partition_fetch_bytes=1024 * 1024,
            fetch_max_wait_ms=100,
            metadata_max_age_ms=5_000 if pattern else 60_000,
            **(
                {}
                if pattern
                else {"partition_assignment_strategy": (LaneAssignor.named(self._settings.instance),)}
            ),
        )
        return KafkaConsumer(make, topics, pattern)

    def outbox(self, worker: str, lane: TopicPartition) -> "KafkaOutbox":
        transactional_id = f"{worker}.{lane.topic}.{lane.partition}"
        make = functools.partial(
            aiokafka.AIOKafkaProducer,
            **self._common,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
            max_batch_size=BATCH_BYTES,
        )
        return KafkaOutbox(make, self._position, f"{worker}.outbox", lane)

    def producer(self) -> "KafkaProducer":
        make = functools.partial(
            aiokafka.AIOKafkaProducer, **self._common, enable_idempotence=True, max_batch_size=BATCH_BYTES
        )
        return KafkaProducer(make)

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        return await asyncio.to_thread(self._topic_ids, list(topics))

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        reader = aiokafka.AIOKafkaConsumer(**self._common, isolation_level="read_committed")
        try:
            await _available(reader.start())
            return _ours(
                await _available(reader.end_offsets([aiokafka.TopicPartition(*p) for p in partitions]))
            )
        finally:
            await reader.stop()

    async def stop(self) -> None:
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    def _topic_ids(self, topics: list[str]) -> dict[str, str]:
        if not topics:
            return {}
        client = AdminClient(
            {
                "bootstrap.servers": self._settings.kafka,
                "security.protocol": self._security["security_protocol"],
                "sasl.mechanism": self._security["sasl_mechanism"],
                "sasl.username": self._security["sasl_plain_username"],
                "sasl.password": self._security["sasl_plain_password"],
                "log_level": 0,
            }
        )
        found = {}
        for name, future in client.describe_topics(
            TopicCollection(topics), request_timeout=REQUEST_SECONDS
        ).items():
            with suppress(KafkaException):  # A topic that does not exist has no id; the caller says so.
                found[name] = str(future.result().topic_id)
        return found

    async def _position(self, group: str, lane: TopicPartition) -> int:
        """Return the committed outbox position, 0 when there is none."""
        async with self._admin_lock:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**self._common)
                await admin.start()
                self._admin = admin
            try:
                offsets = await self._admin.list_consumer_group_offsets(
                    group, partitions=[aiokafka.TopicPartition(*lane)]
                )
            except BaseException:
                broken, self._admin = self._admin, None
                await broken.close()
                raise
        return max(0, int(offsets[aiokafka.TopicPartition(*lane)].offset))


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
            await _available(self._joined.start())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        consumer, self._joined = self._joined, None
        if consumer is not None:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), timeout=REQUEST_SECONDS)

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
        except (errors.KafkaError, OSError) as error:
            raise BrokerUnavailable(type(error).__name__) from None
        return {
            TopicPartition(*partition): [
                Record(each.topic, each.partition, each.offset, each.key, each.value, each.headers)
                for each in records
            ]
            for partition, records in fetched.items()
        }

    def seek(self, partition: TopicPartition, offset: int) -> None:
        with suppress(errors.IllegalStateError):
            self._consumer.seek(aiokafka.TopicPartition(*partition), offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.pause(*self._ours(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume(*self._ours(partitions))

    async def position(self, partition: TopicPartition) -> int:
        asked: Awaitable[int] = self._consumer.position(aiokafka.TopicPartition(*partition))
        return await _available(asked)

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found = {}
        for partition in partitions:
            offset = await _available(self._consumer.committed(aiokafka.TopicPartition(*partition)))
            if offset is not None:
                found[partition] = offset
        return found

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return _ours(
            await _available(self._consumer.end_offsets([aiokafka.TopicPartition(*p) for p in partitions]))
        )

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = [aiokafka.TopicPartition(*partition) for partition in partitions]
        return _ours(await _available(self._consumer.beginning_offsets(asked)))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        mine = set(self._consumer.assignment())
        named = {aiokafka.TopicPartition(*partition): offset for partition, offset in offsets.items()}
        held = {partition: offset for partition, offset in named.items() if partition in mine}
        if held:
            # aiokafka retries a commit without limit.
            await _available(asyncio.wait_for(self._consumer.commit(held), timeout=REQUEST_SECONDS))

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
        await _available(asyncio.wait_for(self._producer.start(), timeout=REBALANCE_SECONDS))
        return await _available(self._position(self._group, self._lane))

    async def publish(
        self, messages: Sequence[Message], number: int, valid: Callable[[], None] = lambda: None
    ) -> None:
        await _available(asyncio.wait_for(self._publish(messages, number, valid), timeout=REBALANCE_SECONDS))

    async def _publish(self, messages: Sequence[Message], number: int, valid: Callable[[], None]) -> None:
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("not-started")
        position = {aiokafka.TopicPartition(*self._lane): OffsetAndMetadata(number, "")}
        async with producer.transaction():
            await _send(producer, messages)
            await producer.send_offsets_to_transaction(position, self._group)
            valid()

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), timeout=REQUEST_SECONDS)


class KafkaProducer:
    """An idempotent producer; after an error a fresh one takes over, because a failed sequence stays failed."""

    def __init__(self, make: Callable[[], aiokafka.AIOKafkaProducer]) -> None:
        self._make = make
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        async with self._starting:
            if self._producer is None:
                producer = self._make()
                await _available(asyncio.wait_for(producer.start(), timeout=REBALANCE_SECONDS))
                self._producer = producer

    async def send(self, messages: Sequence[Message]) -> None:
        await self.start()
        producer = self._producer
        try:
            await _available(asyncio.wait_for(_send(producer, messages), timeout=REBALANCE_SECONDS))
        except BrokerUnavailable:
            if self._producer is producer:
                await self.stop()
            raise

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), timeout=REQUEST_SECONDS)


async def _send(producer: Any, messages: Sequence[Message]) -> None:
    """Hand over whole batches per partition and wait until all are acknowledged; order per partition is kept."""
    by_partition: dict[tuple[str, int], list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.topic, await _partition(producer, message)].append(message)
    waiting = []
    for (topic, partition), group in by_partition.items():
        batch = producer.create_batch()
        for message in group:
            while (
                batch.append(
                    key=message.key, value=message.value, timestamp=None, headers=list(message.headers)
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


async def _partition(producer: Any, message: Message) -> int:
    if message.partition is not None:
        return message.partition
    return partition_of(message.key, len(await producer.partitions_for(message.topic)))


async def _available(answer: Awaitable[T]) -> T:
    """Await; turn what the driver raises into what the loop should do next."""
    try:
        return await answer
    except _FENCED as error:
        raise LaneLost(type(error).__name__) from None
    # A broker that has just come back may list no brokers at all; aiokafka then fails an assertion of its own.
    except (errors.KafkaError, OSError, TimeoutError, AssertionError) as error:
        raise BrokerUnavailable(type(error).__name__) from None


def _ours(offsets: Mapping[Any, int]) -> dict[TopicPartition, int]:
    return {TopicPartition(*partition): offset for partition, offset in offsets.items()}
