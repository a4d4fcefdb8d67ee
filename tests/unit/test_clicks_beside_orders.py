"""Clicks have a way to Kafka of their own: what holds them holds no order."""

import asyncio
from collections.abc import Sequence

from services.gateway.app import Gateway
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.kernel.broker.interface import Message
from services.kernel.broker.memory import MemoryProducer
from tests.unit.gateway_room import SHOP, Room, placed


class Stuck(MemoryProducer):
    """Waits for a lane that has no leader."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.broker)
        self.asked = asyncio.Event()

    async def send(self, messages: Sequence[Message]) -> None:
        self.asked.set()
        await asyncio.Event().wait()


async def test_a_sick_lane_of_clicks_holds_no_order() -> None:
    room = Room()
    room.for_clicks = stuck = Stuck(room)
    room.rebuild()
    await room.anonymiser._key.ask()
    site = Site.model_validate({"storefront": SHOP, "origins": ("https://a.example",), "routes": ("/",)})
    for visitor in range(10):
        room.anonymiser.take(site, f"10.0.0.{visitor}", "Agent/1", [Page("/")])
    leaving = asyncio.create_task(room.anonymiser.stop())
    ordered = asyncio.create_task(room.take(placed()))
    stuck_too, _ = await asyncio.wait([asyncio.create_task(stuck.asked.wait())], timeout=5)
    assert stuck_too
    answered, _ = await asyncio.wait([ordered], timeout=5)
    assert answered and ordered.result().status_code == 202
    assert not leaving.done()
    await room.clicks.close()
    await asyncio.gather(leaving, return_exceptions=True)


async def test_the_gateway_has_a_producer_for_each() -> None:
    """A producer that waits for one lane, or that Kafka has forgotten, takes nothing for any other."""
    room = Room()
    gateway = Gateway(room.settings, room.keyring, room.broker, room.desk)
    for_orders, for_clicks = gateway._producers
    assert for_orders is not for_clicks
    assert gateway._parts.behind._producer is for_orders
    assert gateway._parts.clicks._producer is for_clicks
