"""A topic that fits a pattern appears while its consumer works: nothing the loop asks for then looks like a bug."""

import asyncio

from schemas.topics import Topic
from services.kernel.broker.grants import Grant
from services.kernel.broker.interface import Consumer
from services.kernel.errors import BrokerUnavailable
from tests.fixtures.member import Owner, broker_as
from tests.fixtures.platform import Platform


async def _work(consumer: Consumer, owner: Owner, until: int) -> None:
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
    # The subscription has changed by the time that it lets go.
    broker, owner = broker_as(platform, login), Owner(lets_go_seconds=1.0)
    consumer = broker.consumer(login.username, [], pattern=rf"^{prefix}\.\d$")
    async with asyncio.timeout(60):
        await consumer.start(owner)
        await _work(consumer, owner, 1)
        platform.admin.create(topics[1:])
        await _work(consumer, owner, 2)
    await consumer.stop()
    await broker.stop()
