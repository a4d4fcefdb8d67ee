"""What a worker is: its topics, its handler, its answer to the fan-out. Composed once, in a worker's `app.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.envelope import Envelope
from schemas.privacy import Event
from schemas.topics import Topic
from services.kernel.broker.interface import Message, Record, TopicPartition
from services.kernel.fanout.rights import Rights
from services.kernel.storage.interface import OutboxRow, Transaction
from services.kernel.decision import Outgoing, Timer


@dataclass(frozen=True, slots=True)
class Received:
    """A record that keeps its contract."""

    record: Record
    envelope: Envelope
    event: Event
    subject: str
    key: str
    """State key: what is parked together (an order, not the whole person)."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one record, and what it brings about."""

    received: Received
    ending: str
    """`consumed`, `repeated`, `rejected`, `failed` or `parked` (endings.py)."""
    outgoing: tuple[Outgoing, ...] = ()
    timers: tuple[Timer, ...] = ()
    code: str = ""
    stored: bool = False
    """True when the first row of the subject's scope was stored with it."""


class Handler(Protocol):
    """Turns the records of one lane into effects inside one transaction.

    `fold.Fold` is the usual one, around a pure `decide`; the keyring brings its own.
    """

    def key(self, event: Event, subject: str) -> str:
        """Return the state key of an event."""

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Apply the records in order; return one `Handled` per record, in the same order.

        May be called again for parts of the batch when the database refuses data (bisecting).
        """


class Outbound(Protocol):
    """Last hand on what leaves: dispatch opens and seals again for its partner, everyone else passes on."""

    async def prepare(self, rows: Sequence[OutboxRow]) -> list[Message | None]:
        """Return one message per row, None for what must not leave any more (erased)."""


@dataclass(frozen=True)
class Worker:
    """Everything the loop needs to know about a worker."""

    name: str
    """Consumer group, and prefix of transactional ids."""
    reads: tuple[Topic, ...]
    handler: Handler
    timers: tuple[type[Event], ...] = ()
    """Events of its own that it may schedule."""
    rights: Rights | None = None
    """Set for an owner: it then answers `Erase` (and reads erasure.commands)."""
    outbound: Outbound | None = None
    by_lane: bool = True
    """False: every partition is a lane of its own (partner topics)."""

    def lane(self, partition: TopicPartition) -> str:
        """Return the lane a partition belongs to."""
        return str(partition.partition) if self.by_lane else f"{partition.topic}/{partition.partition}"

    def anchor(self, lane: str) -> TopicPartition:
        """Return the partition that stands for a lane in the outbox group's offsets."""
        if self.by_lane:
            return TopicPartition(self.reads[0].name, int(lane))
        topic, _, number = lane.rpartition("/")
        return TopicPartition(topic, int(number))
