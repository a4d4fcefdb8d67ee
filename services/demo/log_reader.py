"""Reads whole topics with a plain Kafka client: what is on them now, committed records only."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

READ_SECONDS = 60.0
DENIAL_SECONDS = 15.0
GROUP = "operator.demo"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies on Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = field(default=(), repr=False)


def read_topics(settings: Mapping[str, str], topics: Mapping[str, int]) -> list[Record]:
    """Return the records of topics (name → partitions) up to their ends of now, in the order of each partition.

    Raises `TimeoutError` when they are not reached, `KafkaException` for any other fault.
    """
    consumer = _consumer(settings, GROUP)
    wanted = [TopicPartition(name, number, 0) for name, count in topics.items() for number in range(count)]
    try:
        consumer.assign(wanted)
        return _until_every_end(consumer, len(wanted))
    finally:
        consumer.close()


def is_denied(settings: Mapping[str, str], topic: str, group: str) -> bool:
    """Return whether Kafka refuses this login the topic, and for that reason."""
    consumer = _consumer(settings, group)
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + DENIAL_SECONDS
        while time.monotonic() < deadline:
            message: Any = consumer.poll(0.2)
            if message is not None:
                error = message.error()
                return error is not None and bool(error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED)
        return False
    finally:
        consumer.close()


def _consumer(settings: Mapping[str, str], group: str) -> Consumer:
    return Consumer(
        {
            **settings,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )


def _until_every_end(consumer: Consumer, partitions: int) -> list[Record]:
    records: list[Record] = []
    ended: set[tuple[str | None, int | None]] = set()
    deadline = time.monotonic() + READ_SECONDS
    while len(ended) < partitions:
        if time.monotonic() > deadline:
            raise TimeoutError("the end of a topic was not reached")
        # Waits for that many or for that long, whichever is sooner.
        for each in consumer.consume(1_000, timeout=0.1):
            error = each.error()
            if error is None:
                records.append(_record(each))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add((each.topic(), each.partition()))
            else:
                raise KafkaException(error)
    return records


def _record(message: Any) -> Record:
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.headers() or (),
    )
