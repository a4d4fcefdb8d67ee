"""What only a foreign client writes, and a broker takes: no partner can stop dispatch by it."""

import asyncio

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer

from services.kernel.broker.interface import Message, Record, TopicPartition
from tests.fixtures.member import Owner, broker_as
from tests.fixtures.platform import Login, Platform


class _NotUtf8(str):
    """A header's name as no Python client would write it; Kafka's protocol has bytes there."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def _read(platform: Platform, topic: str, login: Login, until: int) -> list[Record]:
    """Read a topic of one partition from its beginning to this offset, as the loop does."""
    partition, owner, read = TopicPartition(topic, 0), Owner(), list[Record]()
    consumer = broker_as(platform, login).consumer(login.username, [topic])
    await consumer.start(owner)
    async with asyncio.timeout(60):
        while partition not in owner.mine:
            await consumer.fetch(0.1)
        consumer.seek(partition, 0)
        while not read or read[-1].offset < until:
            for records in (await consumer.fetch(0.2)).values():
                read += records
    await consumer.stop()
    return read


async def test_a_header_whose_name_is_no_text_stops_nobody(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver fails on such a record for ever; it comes out without its contents, and what follows is read (D2)."""
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    topic = platform.new_topic(partitions=1)
    login = platform.new_user(reads=[topic], writes=[topic])
    producer = broker_as(platform, login).producer()
    for headers in ([("a", b"1")], [(_NotUtf8("x"), b"1")], [("a", b"3")]):
        await producer.send([Message(topic, b"k", b"v", headers)])
    await producer.stop()
    read = await _read(platform, topic, login, until=2)
    assert [record.offset for record in read] == [0, 1, 2]
    assert [record.value for record in read] == [b"v", None, b"v"]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
async def test_a_bomb_stops_nobody(platform: Platform, codec: str) -> None:
    """A broker takes it, being small as it is sent: 64 MiB of zeros are 60 KiB of gzip, and 2 KiB of zstd (D2)."""
    topic = platform.new_topic(partitions=1)
    login = platform.new_user(reads=[topic], writes=[topic])
    bomber = Producer(
        {
            **platform.stack.kafka_settings("admin"),
            "compression.type": codec,
            "message.max.bytes": 128 * 1024 * 1024,
        }
    )
    for value in (b"one", bytes(64 * 1024 * 1024), b"two"):
        bomber.produce(topic, value)
        assert bomber.flush(60) == 0
    read = await _read(platform, topic, login, until=2)
    assert [(record.offset, record.value) for record in read] == [(0, b"one"), (1, None), (2, b"two")]
