"""What the consumer makes of a driver that fails in the middle of what it has read: nothing is skipped."""

import asyncio
from typing import Any

import aiokafka
import pytest
from aiokafka import errors
from aiokafka.structs import ConsumerRecord

from services.kernel.broker import kafka_consumer
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.broker.kafka_consumer import KafkaConsumer
from services.kernel.errors import BrokerUnavailable, RejectedRecord
from services.kernel.worker.decode import Decoder
from tests.unit.kernel.sample import WORDS, worker

A, B = TopicPartition("words", 0), TopicPartition("words", 1)
BAD = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class Driver:
    """Reads as aiokafka does: partition by partition, and forgets what it has in hand when it raises."""

    def __init__(self, logs: dict[TopicPartition, list[Exception | None]]) -> None:
        self._logs = logs
        self._at: dict[TopicPartition, int] = {}

    def subscribe(self, **_: Any) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assignment(self) -> set[aiokafka.TopicPartition]:
        return {aiokafka.TopicPartition(*each) for each in self._logs}

    def seek(self, partition: aiokafka.TopicPartition, offset: int) -> None:
        self._at[TopicPartition(*partition)] = offset

    async def getmany(
        self, *asked: aiokafka.TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[Any, list[Any]]:
        await asyncio.sleep(0)
        found: dict[Any, list[Any]] = {}
        for partition, log in self._logs.items():
            named = aiokafka.TopicPartition(*partition)
            while self._at[partition] < len(log) and sum(map(len, found.values())) < max_records:
                if asked and named not in asked:
                    break
                wrong = log[self._at[partition]]
                if wrong is not None:
                    # Once only: a broker that answers again answers well. What is no text stays no text.
                    log[self._at[partition]] = wrong if wrong is BAD else None
                    raise wrong
                record = ConsumerRecord(*partition, self._at[partition], 0, 0, b"k", b"v", None, 1, 1, ())
                found.setdefault(named, []).append(record)
                self._at[partition] += 1
        return found


class Nobody:
    async def assigned(self, partitions: object) -> None: ...

    async def revoked(self, partitions: object) -> None: ...


async def everything(logs: dict[TopicPartition, list[Exception | None]]) -> list[Record]:
    """Fetch until every log has been read to its end, as the loop does."""
    driver = Driver(logs)
    consumer = KafkaConsumer(lambda: driver, ["words"], None)
    await consumer.start(Nobody())
    read: list[Record] = []
    for partition in logs:
        consumer.seek(partition, 0)
    for _ in range(50):
        try:
            for records in (await consumer.fetch(0)).values():
                read += records
        except BrokerUnavailable:
            continue
    return read


@pytest.mark.parametrize("wrong", [BAD, errors.CorruptRecordException("crc"), errors.KafkaError("odd")])
@pytest.mark.parametrize("at", [0, 1, 3])
async def test_what_a_failing_fetch_had_in_hand_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch, wrong: Exception, at: int
) -> None:
    """Otherwise the records before the bad one, and those of other partitions, would be skipped without a word."""
    monkeypatch.setattr(kafka_consumer, "REFETCH_SECONDS", 0)
    log: list[Exception | None] = [None] * 4
    log[at] = wrong
    read = await everything({A: [None] * 3, B: log})
    assert [each.offset for each in read if each.partition == 0] == [0, 1, 2]
    assert [each.offset for each in read if each.partition == 1] == [0, 1, 2, 3]
    assert [each.offset for each in read if each.value is None] == ([at] if wrong is BAD else [])


async def test_a_record_that_the_driver_cannot_decode_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A header whose name is no text: no client of ours writes one, and one partner could stop dispatch with it."""
    monkeypatch.setattr(kafka_consumer, "REFETCH_SECONDS", 0)
    read = await everything({A: [BAD, BAD, None]})
    assert [(each.offset, each.value) for each in read] == [(0, None), (1, None), (2, b"v")]
    with pytest.raises(RejectedRecord, match="attribute-encoding"):
        Decoder(worker()).decode(read[0]._replace(topic=WORDS.name))
