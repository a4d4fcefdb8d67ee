"""A lane goes from owner to owner, killed, frozen or cut off at the worst moment: each row leaves once, in order."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from schemas.topics import Topic
from services.kernel.broker.interface import TopicPartition
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.errors import RetryableError, StoreUnavailable
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import OutboxRow
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.relay import Relay
from services.kernel.worker.worker import Worker
from tests.fixtures import evidence
from tests.fixtures.platform import Platform

LANE = "0"
ROWS = 40
"""Rows that each owner writes."""
TAKEOVERS = 9


@dataclass
class Room:
    """One lane on a real broker and a real database, and whoever owns it for a while."""

    platform: Platform
    worker: Worker
    out: str
    broker: KafkaBroker
    storage: PostgresStorage
    written: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def owner(self) -> Relay:
        """Return a new owner of the lane; whoever had it before is not asked."""
        return Relay(self.worker, LANE, self.broker, self.storage)

    async def write(self) -> None:
        """Store outgoing rows, as a batch does."""
        async with self.writing, self.storage.transaction(LANE) as tx:
            await tx.append([self._row(number) for number in range(self.written, self.written + ROWS)])
            self.written += ROWS

    async def takes_over(self) -> Relay:
        """Return a new owner that has begun; a broker's first answers of its life may be "not yet"."""
        relay = self.owner()
        async with asyncio.timeout(30):
            while True:
                try:
                    await relay.publish()
                    return relay
                except RetryableError:
                    await asyncio.sleep(0.1)

    def _row(self, number: int) -> OutboxRow:
        return OutboxRow(self.out, "key", str(number).encode(), [("ce_id", b"-")], None, None, ())

    async def published(self) -> list[int]:
        """Return what readers of committed records see, in order."""
        entries = await asyncio.to_thread(evidence.read, self.platform.stack, [self.out])
        return [int(entry.value or b"-1") for entry in entries]


@pytest.fixture
async def room(platform: Platform) -> AsyncIterator[Room]:
    into, out = platform.new_topic("in", 1), platform.new_topic("out", 1)
    login = platform.new_user(reads=[into], writes=[out])
    database = urlsplit(platform.new_database())
    common = {
        "instance": "takeover-1", "kafka": platform.kafka, "kafka_password": login.password,
        "database_port": database.port, "database_name": database.path.strip("/"),
        "database_password": database.password,
    }  # fmt: skip
    storage = PostgresStorage(WorkerSettings(principal=database.username, **common))
    broker = KafkaBroker(WorkerSettings(principal=login.username, **common))
    await storage.start()
    reads = (Topic(into, (), frozenset(), frozenset(), partitions=1),)
    await storage.begin(LANE, {TopicPartition(into, 0): 0})
    yield Room(platform, Worker(login.username, reads, handler=None), out, broker, storage)  # type: ignore[arg-type]
    await storage.stop()
    await broker.stop()


async def test_rows_leave_once_and_in_order_whoever_owns_the_lane(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after Kafka has the rows and before the table has let go of them, again and again (T1)."""
    owners: list[Relay] = []
    for number in range(TAKEOVERS):
        owners.append(await room.takes_over())
        await room.write()
        with monkeypatch.context() as dying:
            if number % 3 == 0:
                dying.setattr(room.storage, "published", _away)
                with pytest.raises(StoreUnavailable):
                    await owners[-1].publish()
            elif number % 3 == 1:
                await owners[-1].publish()
        # Every third one is killed before it has published anything.
    owners.append(await room.takes_over())
    assert await room.published() == list(range(room.written))
    assert await room.storage.outbox(LANE, 10) == []
    for relay in owners:
        await relay.stop()


async def test_owners_that_both_believe_in_their_lane_double_nothing(room: Room) -> None:
    """Two frozen owners wake and publish by turns: each fences the other, and every row still leaves once (T1)."""
    first, second = room.owner(), room.owner()

    async def insist(relay: Relay) -> None:
        for _ in range(12):
            try:
                await room.write() if secrets.randbelow(2) else None
                await relay.publish()
            except RetryableError:
                await asyncio.sleep(0.02)

    await asyncio.gather(insist(first), insist(second))
    last = await room.takes_over()
    published = await room.published()
    assert sorted(published) == list(range(room.written)), "lost or doubled"
    assert published == sorted(published), "out of order"
    for relay in (first, second, last):
        await relay.stop()


async def _away(*_: object) -> None:
    raise StoreUnavailable("away")
