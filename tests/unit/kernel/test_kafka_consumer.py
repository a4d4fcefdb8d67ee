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
from services.kernel.errors import BrokerUnavailable, ConfigurationError, RejectedRecord
from services.kernel.worker.decode import Decoder
from tests.unit.kernel.lane_room import Nobody
from tests.unit.kernel.sample import WORDS, worker

A, B = TopicPartition("words", 0), TopicPartition("words", 1)
BAD = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class Driver:
    """Reads as aiokafka does: partition by partition, and forgets what it has in hand when it raises."""

    def __init__(self, logs: dict[TopicPartition, list[Exception | None]]) -> None:
        self._logs = logs
        self._at: dict[TopicPartition, int] = {}

    def subscribe(self, listener: aiokafka.ConsumerRebalanceListener, **_: Any) -> None:
        self.listener = listener

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


async def joined(logs: dict[TopicPartition, list[Exception | None]]) -> tuple[Driver, KafkaConsumer]:
    """Return a member that was told to read every log from its beginning, and what it reads with."""
    driver = Driver(logs)
    consumer = KafkaConsumer(lambda: driver, ["words"], None)
    await consumer.start(Nobody())
    for partition in logs:
        consumer.seek(partition, 0)
    return driver, consumer


async def everything(logs: dict[TopicPartition, list[Exception | None]]) -> list[Record]:
    """Fetch until every log has been read to its end, as the loop does."""
    _, consumer = await joined(logs)
    read: list[Record] = []
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


def gone(offset: int) -> errors.OffsetOutOfRangeError:
    return errors.OffsetOutOfRangeError({aiokafka.TopicPartition(*B): offset})


async def test_a_position_that_was_sought_and_is_gone_is_refused_by_name() -> None:
    _, consumer = await joined({B: [gone(0)]})
    with pytest.raises(ConfigurationError, match="position-gone") as refusal:
        await consumer.fetch(0)
    assert refusal.value.fields == {"topic": "words", "partition": 1}


async def test_where_the_group_was_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver begins there until it is told otherwise; only what the database says counts, and the operator."""
    monkeypatch.setattr(kafka_consumer, "UNSOUGHT_SECONDS", 0)
    read = await everything({A: [None] * 2, B: [None, gone(7), None]})
    assert [(each.partition, each.offset) for each in read] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


async def test_where_a_former_assignment_was_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_consumer, "UNSOUGHT_SECONDS", 0)
    driver, consumer = await joined({B: [gone(0), None]})
    await driver.listener.on_partitions_assigned([aiokafka.TopicPartition(*B)])
    assert await consumer.fetch(0) == {}
    assert [len(records) for records in (await consumer.fetch(0)).values()] == [2]
