"""What Lethe asks of a broker. `kafka.py` is the real thing, `memory.py` its twin; one contract suite holds both.

Methods raise `BrokerUnavailable` for anything that may pass, `ConfigurationError` for what will not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]
RECORD_BYTES = 256
HEADER_BYTES = 160
"""What a record, and each of its headers, takes in memory beside its contents: Python's own objects."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(NamedTuple):
    """A record as it was fetched."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return size_of(self.key, self.value, self.headers)


def size_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return about what a record takes in memory: who sends it chooses which of its parts is large, or many."""
    size = RECORD_BYTES + len(key or b"") + len(value or b"") + HEADER_BYTES * len(headers)
    for name, contents in headers:
        # Kafka lets a foreign client send a header without a value.
        size += len(name) + len(contents or b"")
    return size


class Message(NamedTuple):
    """A record to be produced; `partition` None leaves the choice to the key (murmur2, as Java's).

    `timestamp_ms` counts where the topic leaves it to the writer; None: the moment of sending.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers
    partition: int | None = None
    timestamp_ms: int | None = None


class Listener(Protocol):
    """Hears of rebalances, from the broker's own task: must be quick and must not raise."""

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Called before the partitions go to somebody else."""

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Called when the partitions are ours; records may already have been fetched by then."""


class Consumer(Protocol):
    """A member of a consumer group; reads committed records only, never resets a position by itself."""

    async def start(self, listener: Listener) -> None:
        """Join the group."""

    async def stop(self) -> None:
        """Leave the group."""

    async def fetch(self, timeout_seconds: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records of partitions that are not paused; never cancelled by its caller.

        Raises `ConfigurationError` ("position-gone") where the log no longer has the position asked for.
        """

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetch from here next; what was prefetched is discarded. Ignored for a partition that is not ours."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these, stay in the group."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch these again."""

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset that will be fetched next; also moves over transaction markers, which are no records."""

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the group's committed offsets, without those never committed."""

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offsets of partitions: the offset after the last record or marker."""

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offsets still in the log."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell the group's progress to tools that show lag; advisory, the database has the truth."""


class OutboxProducer(Protocol):
    """The one transactional producer of a (principal, lane)."""

    async def start(self) -> int:
        """Fence the lane's previous owner; return the number of the last row it published (0: none yet)."""

    async def publish(
        self, messages: Sequence[Message], number: int, valid: Callable[[], None] = lambda: None
    ) -> None:
        """Publish all messages and record `number` as the position, both or neither.

        `valid` is called right before the commit; what it raises aborts. Raises `LaneLost` when fenced.
        On any error the producer is spent: stop it, start another, and read the table again.
        """

    async def stop(self) -> None:
        """Close; an open transaction is aborted."""


class Producer(Protocol):
    """An idempotent producer for those who have no outbox (the gateway)."""

    async def start(self) -> None:
        """Connect."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when every message is acknowledged by all in-sync replicas."""

    async def stop(self) -> None:
        """Flush and close."""


class Broker(Protocol):
    """Makes the parts."""

    def consumer(self, group: str, topics: Sequence[str], *, pattern: str | None = None) -> Consumer:
        """Return a member-to-be of a group that keeps partition n of all its topics together.

        With a `pattern` (a regular expression) it follows matching topics as they appear, each partition by itself.
        """

    def outbox(self, worker: str, lane: TopicPartition) -> OutboxProducer:
        """Return the lane's producer; `lane` is the input partition that stands for it."""

    def producer(self) -> Producer:
        """Return a plain producer."""

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the broker's unique id of each existing topic; a recreated topic has a new one."""

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record or marker of each partition, without joining a group."""

    async def event_ids(self, topic: str) -> frozenset[str]:
        """Return the id of every committed event that a topic still has, without joining a group."""

    async def stop(self) -> None:
        """Close what is shared."""
