"""What a worker is: its topics, its handler, its answer to the fan-out. Composed once, in a worker's `app.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.envelope import Envelope
from schemas.privacy import Event
from schemas.topics import Topic
from services.kernel.broker.interface import Message, Record, TopicPartition
from services.kernel.decision import Outgoing, Timer
from services.kernel.fanout.rights import Rights
from services.kernel.storage.interface import OutboxRow, Transaction


class Received(NamedTuple):
    """A record that keeps its contract."""

    record: Record
    envelope: Envelope
    event: Event
    subject: str
    key: str
    """State key: what is parked together (an order, not the whole person)."""


class Handled(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """What leaves instead of some outbox rows, in their order; None for what must not leave any more (erased)."""

    messages: list[Message | None]
    valid: Callable[[], None] = lambda: None
    """Called right before the commit; raises `LeaseExpired` when keys were opened too long ago."""


class Outbound(Protocol):
    """Last hand on what leaves under another key: dispatch opens and seals again for its partner."""

    async def prepare(self, rows: Sequence[OutboxRow]) -> Prepared:
        """Return one message or None per row; called for rows whose `partner` is set."""


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
    pattern: str | None = None
    """Set for partner topics: a regular expression of topics to follow; every partition is then its own lane."""
    topic_named: Callable[[str], Topic | None] | None = None
    """With `pattern`: what travels on a topic of that name."""

    def lane(self, partition: TopicPartition) -> str:
        """Return the lane a partition belongs to."""
        return (
            str(partition.partition) if self.pattern is None else f"{partition.topic}/{partition.partition}"
        )

    def anchor(self, lane: str) -> TopicPartition:
        """Return the partition that stands for a lane in the outbox group's offsets."""
        if self.pattern is None:
            return TopicPartition(self.reads[0].name, int(lane))
        topic, _, number = lane.rpartition("/")
        return TopicPartition(topic, int(number))
