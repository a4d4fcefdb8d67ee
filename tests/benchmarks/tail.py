"""Reads topics from where they end now, in a thread, and notes when each record could be read."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from deploy.local.stack import Stack


@dataclass(frozen=True, slots=True)
class Seen:
    """One committed record."""

    topic: str
    key: bytes
    value: bytes | None
    headers: dict[str, bytes]
    written_at: float
    """When the broker wrote it, in seconds since the epoch."""
    read_at: float


class Tail:
    """Follows whole topics between entry and exit; what was there before is not seen."""

    def __init__(self, stack: Stack, topics: Iterable[str]) -> None:
        self.seen: list[Seen] = []
        self._topics = tuple(topics)
        self._consumer = Consumer(
            {**stack.kafka_settings("admin"), "group.id": "bench-tail", "enable.auto.commit": False,
             "isolation.level": "read_committed", "fetch.wait.max.ms": 20, "log_level": 0}
        )  # fmt: skip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Tail":
        partitions = [
            TopicPartition(topic, number, OFFSET_END)
            for topic in self._topics
            for number in self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ]
        for each in partitions:
            # Asked for now: a record of the next moment must not count as the end.
            each.offset = self._consumer.get_watermark_offsets(each, timeout=20)[1]
        self._consumer.assign(partitions)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def of(self, topic: str) -> list[Seen]:
        """Return what was seen of one topic so far."""
        return [each for each in list(self.seen) if each.topic == topic]

    def await_records(self, topic: str, count: int, quiet_seconds: float) -> list[Seen]:
        """Return the records once there are so many; `AssertionError` when for so long no other one came."""
        found, moved_at = 0, time.monotonic()
        while found < count:
            if (now := len(self.of(topic))) > found:
                found, moved_at = now, time.monotonic()
            assert time.monotonic() - moved_at < quiet_seconds, f"{found} of {count} records on {topic}"
            time.sleep(0.1)
        return self.of(topic)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for record in self._consumer.consume(500, 0.1):
                if record.error() is None:
                    self.seen.append(
                        Seen(
                            record.topic(), record.key() or b"", record.value(), dict(record.headers() or ()),
                            record.timestamp()[1] / 1_000, time.time(),
                        )
                    )  # fmt: skip
