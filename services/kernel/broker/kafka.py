"""The real broker: aiokafka for records, confluent's admin client for what aiokafka cannot ask (topic ids)."""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from services.kernel.broker.assignor import LaneAssignor
from services.kernel.broker.driver import REBALANCE_SECONDS, REQUEST_SECONDS, available, hang_up
from services.kernel.broker.interface import TopicPartition
from services.kernel.broker.kafka_consumer import KafkaConsumer, by_partition
from services.kernel.broker.kafka_producers import KafkaOutbox, KafkaProducer
from services.kernel.broker.kafka_reading import event_ids
from services.kernel.errors import BrokerUnavailable
from services.kernel.settings import WorkerSettings

TRANSACTION_SECONDS = 10
"""A hung owner's open transaction hides what others publish behind it for at most this long."""
BATCH_BYTES = 256 * 1024
FETCH_BYTES = 4 * 1024 * 1024
"""Of one partition at once. A transaction costs Kafka and PostgreSQL about the same for 200 orders as for 1,000."""


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

    def consumer(self, group: str, topics: Sequence[str], *, pattern: str | None = None) -> KafkaConsumer:
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
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=100,
            metadata_max_age_ms=5_000 if pattern else 60_000,
            **(
                {}
                if pattern
                else {"partition_assignment_strategy": (LaneAssignor.named(self._settings.instance),)}
            ),
        )
        return KafkaConsumer(make, topics, pattern)

    def outbox(self, worker: str, lane: TopicPartition) -> KafkaOutbox:
        transactional_id = f"{worker}.{lane.topic}.{lane.partition}"
        make = functools.partial(
            aiokafka.AIOKafkaProducer,
            **self._common,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
            max_batch_size=BATCH_BYTES,
        )
        return KafkaOutbox(make, self._position, f"{worker}.outbox", lane)

    def producer(self) -> KafkaProducer:
        make = functools.partial(
            aiokafka.AIOKafkaProducer, **self._common, enable_idempotence=True, max_batch_size=BATCH_BYTES
        )
        return KafkaProducer(make)

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        return await asyncio.to_thread(self._topic_ids, list(topics))

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        async with self._reader() as reader:
            asked = [aiokafka.TopicPartition(*partition) for partition in partitions]
            return by_partition(await available(reader.end_offsets(asked)))

    async def event_ids(self, topic: str) -> frozenset[str]:
        async with self._reader(topic, auto_offset_reset="earliest") as reader:
            return await available(event_ids(reader))

    async def stop(self) -> None:
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    @asynccontextmanager
    async def _reader(self, *topics: str, **options: Any) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
        """A reader of committed records that is in no group."""
        reader = aiokafka.AIOKafkaConsumer(
            *topics, **self._common, isolation_level="read_committed", **options
        )
        try:
            await available(reader.start())
            yield reader
        finally:
            await hang_up(reader)

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
        asked = aiokafka.TopicPartition(*lane)
        async with self._admin_lock:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**self._common)
                await admin.start()
                self._admin = admin
            try:
                offsets = await self._admin.list_consumer_group_offsets(group, partitions=[asked])
            except BaseException:
                broken, self._admin = self._admin, None
                await broken.close()
                raise
        if asked not in offsets:
            # A broker that has just come back refuses for a whole group; the driver passes that on as no answer.
            raise BrokerUnavailable("group-unknown-yet")
        return max(0, int(offsets[asked].offset))
