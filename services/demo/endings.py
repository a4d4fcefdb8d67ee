"""What was read = how it ended: every record of every topic, counted on Kafka and counted by its reader.

The readers' own positions cannot be compared with their counts, because markers of transactions take offsets too; so
the records themselves are counted, by a reader of our own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.settings import PROCESSES, WorkerProcess
from services.demo.log_reader import Record
from services.demo.room import Room

_COUNTED = "SELECT topic, ending, sum(count) AS count FROM {schema}.ending GROUP BY topic, ending"
_READ = "SELECT topic, partition, next_offset FROM {schema}.progress"
_OWN = "("
"""A worker counts its timers as a topic of this beginning."""
_APART = "redriven-"


@dataclass(frozen=True, slots=True)
class Sum:
    """One topic as one worker read it."""

    worker: str
    topic: str
    on_topic: int
    """Records that are there."""
    read: int
    """Of these, records before the worker's stored position."""
    endings: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether all was read, and every record ended in exactly one way."""
        return self.on_topic == self.read == sum(self.endings.values())


def sums(room: Room, records: Sequence[Record]) -> list[Sum]:
    """Return every worker's sum for each topic that it reads."""
    reading = (each for each in PROCESSES if each.exists and each.runs_loop)
    return [found for process in reading for found in _of(process, room, records)]


def total(found: Iterable[Sum], ending: str) -> int:
    """Return how many records ended so, over all workers and topics."""
    return sum(each.endings.get(ending, 0) for each in found)


def _of(process: WorkerProcess, room: Room, records: Sequence[Record]) -> list[Sum]:
    def ask(sql: str) -> list[dict[str, Any]]:
        return room.rows(sql.format(schema=process.principal), process.cluster, process.database)

    endings: dict[str, dict[str, int]] = defaultdict(dict)
    for row in ask(_COUNTED):
        if not row["topic"].startswith(_OWN) and not row["ending"].startswith(_APART):
            endings[row["topic"]][row["ending"]] = int(row["count"])
    positions = {(row["topic"], row["partition"]): row["next_offset"] for row in ask(_READ)}
    topics = {topic for topic, _ in positions}
    there = Counter(record.topic for record in records if record.topic in topics)
    read = Counter(
        record.topic
        for record in records
        if record.offset < positions.get((record.topic, record.partition), 0)
    )
    return [Sum(process.principal, each, there[each], read[each], endings[each]) for each in sorted(topics)]
