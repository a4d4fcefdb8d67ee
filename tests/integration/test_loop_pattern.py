"""A topic that fits a pattern appears while its consumer works: nothing the loop asks for then looks like a bug."""

import asyncio
from collections.abc import Iterable

from schemas.topics import Topic
from services.kernel.broker.grants import Grant
from services.kernel.broker.interface import Consumer, TopicPartition
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.errors import BrokerUnavailable
from services.kernel.settings import WorkerSettings
from tests.fixtures.platform import Platform


class _Owner:
    """Notes what it is given, and takes its time to let go: the subscription has changed by then."""

    def __init__(self) -> None:
        self.mine: set[TopicPartition] = set()

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self.mine = set(partitions)

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        await asyncio.sleep(1.0)


async def _work(consumer: Consumer, owner: _Owner, until: int) -> None:
    """Do what lanes do all the time, until so many partitions are ours."""
    while len(owner.mine) < until:
        for partition in list(owner.mine):
            consumer.seek(partition, 0)
            consumer.pause([partition])
            consumer.resume([partition])
        try:
            await consumer.fetch(0.01)
        except BrokerUnavailable:
            await asyncio.sleep(0.01)


async def test_a_new_partner_topic_stops_nobody(platform: Platform) -> None:
    """Seeking between the changed subscription and its assignment ended dispatch as a bug would (D2)."""
    prefix = platform.new_name("pattern")
    login = platform.new_user()
    platform.admin.grant({Grant(login.username, "READ", "TOPIC", f"{prefix}.", prefixed=True)})
    names = [f"{prefix}.{number}" for number in range(2)]
    topics = [Topic(name, (), frozenset(), frozenset(), partitions=1) for name in names]
    platform.admin.create(topics[:1])
    settings = WorkerSettings(
        principal=login.username, instance="pattern-1", kafka=platform.kafka, kafka_password=login.password,
        database_port=1, database_name="-", database_password="-",
    )  # fmt: skip
    broker, owner = KafkaBroker(settings), _Owner()
    consumer = broker.consumer(login.username, [], pattern=rf"^{prefix}\.\d$")
    async with asyncio.timeout(60):
        await consumer.start(owner)
        await _work(consumer, owner, 1)
        platform.admin.create(topics[1:])
        await _work(consumer, owner, 2)
    await consumer.stop()
    await broker.stop()
