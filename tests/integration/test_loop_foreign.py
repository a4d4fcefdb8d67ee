"""What only a foreign client writes, and a broker takes: no partner can stop dispatch by it."""

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from services.kernel.broker.interface import Message, TopicPartition
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.settings import WorkerSettings
from tests.fixtures.platform import Platform


class _NotUtf8(str):
    """A header's name as no Python client would write it; Kafka's protocol has bytes there."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


class _Owner:
    def __init__(self) -> None:
        self.mine: set[TopicPartition] = set()

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self.mine = set(partitions)

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self.mine.clear()


async def test_a_header_whose_name_is_no_text_stops_nobody(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver fails on such a record for ever; it comes out without its contents, and what follows is read (D2)."""
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    topic = platform.new_topic(partitions=1)
    login = platform.new_user(reads=[topic], writes=[topic])
    settings = WorkerSettings(
        principal=login.username, instance="foreign-1", kafka=platform.kafka, kafka_password=login.password,
        database_port=1, database_name="-", database_password="-",
    )  # fmt: skip
    broker, owner, partition = KafkaBroker(settings), _Owner(), TopicPartition(topic, 0)
    producer = broker.producer()
    for headers in ([("a", b"1")], [(_NotUtf8("x"), b"1")], [("a", b"3")]):
        await producer.send([Message(topic, b"k", b"v", headers)])
    consumer = broker.consumer(login.username, [topic])
    await consumer.start(owner)
    read = []
    async with asyncio.timeout(40):
        while partition not in owner.mine:
            await consumer.fetch(0.1)
        consumer.seek(partition, 0)
        while len(read) < 3:
            for records in (await consumer.fetch(0.2)).values():
                read += records
    assert [record.offset for record in read] == [0, 1, 2]
    assert [record.value for record in read] == [b"v", None, b"v"]
    await consumer.stop()
    await producer.stop()
    await broker.stop()
