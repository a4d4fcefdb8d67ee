"""Orders of a real shop, sealed as the gateway seals them, on a topic before anybody is measured."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import orjson
from confluent_kafka import Producer

from deploy.local.stack import Stack
from schemas.addresses import Recipient
from schemas.envelope import Envelope, to_the_hour
from schemas.orders import Basket, OrderPlaced
from schemas.topics import LANES
from services.demo import retail
from services.demo.retail import Purchase
from services.kernel.broker.partition import partition_of
from services.kernel.ids import random_id
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import Place

DATA = Path("../shared/data/retail")
Record = tuple[str, bytes, list[tuple[str, bytes]]]
"""Subject, value, headers."""


def load(stack: Stack, topic: str, orders: int) -> None:
    """Write so many different orders to a topic, each into the lane of its person."""
    producer = Producer(
        {**stack.kafka_settings("admin"), "linger.ms": 20, "queue.buffering.max.messages": 500_000}
    )
    for number, (subject, value, headers) in enumerate(itertools.islice(placed(), orders)):
        lane = partition_of(subject.encode(), LANES)
        producer.produce(topic, value, subject.encode(), lane, on_delivery=_delivered, headers=headers)
        if number % 1_000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0, "not every order reached Kafka"


def _delivered(error: object, _: object) -> None:
    assert error is None, f"an order did not reach Kafka: {error}"


def placed() -> Iterator[Record]:
    """Yield `lethe.order.placed.v1` records for ever: the shop's baskets again and again, each for somebody new."""
    hour = to_the_hour(datetime.now(UTC))
    keys = DataKey.fresh(), DataKey.fresh()
    for number, text in enumerate(itertools.cycle(_baskets())):
        subject, order = random_id(), random_id()
        value = {
            "order": order,
            "carrier": "bluevan",
            "basket": seal(keys[0], Place(f"orders/{order}/basket"), text),
            "ship_to": seal(keys[1], Place(f"orders/{order}/ship_to"), _recipient(number)),
        }
        envelope = Envelope(
            str(uuid.uuid4()), OrderPlaced.type, "/storefronts/bench", time=hour, subject=subject, policy="1"
        )
        yield subject, orjson.dumps(value), envelope.headers()


@cache
def _baskets() -> list[bytes]:
    days = retail.read(DATA) if any(DATA.glob("*.csv.gz")) else retail.generate(500)
    return [_basket(purchase) for purchase in days.purchases]


def _basket(purchase: Purchase) -> bytes:
    lines = [
        {
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price_minor,
        }
        for line in purchase.lines
    ]
    basket = Basket.model_validate_json(
        orjson.dumps(
            {
                "number": purchase.number, "placed_at": purchase.placed_at, "currency": "GBP", "exponent": 2,
                "lines": lines, "total_minor": purchase.total_minor,
            }
        )
    )  # fmt: skip
    return basket.model_dump_json(exclude_none=True).encode()


@cache
def _recipients() -> list[bytes]:
    made = (
        Recipient(
            name=f"Customer {number}", address_lines=(f"{number} Example Street",), city="London",
            postal_code=f"N{number % 20} 1AA", country="GB",
        )
        for number in range(1_000)
    )  # fmt: skip
    return [recipient.model_dump_json(exclude_none=True).encode() for recipient in made]


def _recipient(number: int) -> bytes:
    return _recipients()[number % 1_000]
