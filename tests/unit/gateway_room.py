"""A gateway without a network: the real application on the in-memory twins of what stands behind it."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from schemas.topics import LANES, TOPICS
from services.gateway.app import build, door
from services.gateway.memory import MemoryDesk, MemoryRequestStore
from services.gateway.settings import Settings
from services.kernel.broker.interface import Record
from services.kernel.broker.memory import MemoryBroker
from services.kernel.ids import random_id
from services.kernel.sealing.memory import MemoryVault
from services.kernel.storage.memory import MemoryStorage

SHOP, OTHER_SHOP = "bookshop", "shoeshop"
TOKEN, OTHER_TOKEN = "token-of-the-bookshop", "token-of-the-shoeshop"
CANARY = "Quxolotl"
"""Stands in every personal field and in everything a bad event says; must never come back."""

RECIPIENT = {
    "name": f"Ada {CANARY}",
    "address_lines": [f"1 {CANARY} Street"],
    "city": CANARY,
    "postal_code": "N1 9GU",
    "country": "GB",
    "delivery_note": f"leave it with {CANARY}",
}
BASKET = {
    "number": f"{CANARY}-7",
    "placed_at": "2026-11-23T10:17:31Z",
    "currency": "GBP",
    "exponent": 2,
    "lines": [{"sku": "85123A", "name": f"{CANARY} holder", "quantity": 6, "unit_price_minor": 255}],
    "shipping_minor": 400,
    "total_minor": 1930,
}
INVOICE = {
    "number": f"R-{CANARY}",
    "issued_at": "2026-11-23T10:20:00Z",
    "buyer": f"Ada {CANARY}",
    "country": "GB",
    "currency": "GBP",
    "exponent": 2,
    "tax_minor": 0,
    "total_minor": 1930,
}


def event_of(kind: str, subject: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an event as a storefront writes it."""
    return {
        "id": str(uuid.uuid4()),
        "type": f"lethe.order.{kind}.v1",
        "subject": subject,
        "data": data,
        **more,
    }


def placed(subject: str | None = None, order: str | None = None, **data: Any) -> dict[str, Any]:
    """Return an order as a storefront places it."""
    whole = {"order": order or random_id(), "carrier": "swiftpost", "basket": BASKET, "ship_to": RECIPIENT}
    return event_of("placed", subject or random_id(), whole | data)


def cancelled(subject: str | None = None) -> dict[str, Any]:
    """Return an event without personal fields."""
    return event_of("cancelled", subject or random_id(), {"order": random_id(), "reason": "stock"})


@dataclass
class Room:
    """The gateway and everything around it."""

    vault: MemoryVault = field(default_factory=MemoryVault)
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker({each.name: LANES for each in TOPICS}))
    storage: MemoryStorage = field(default_factory=MemoryStorage)

    def __post_init__(self) -> None:
        self.settings = Settings(
            principal="gateway", instance="gateway-1", kafka="-", kafka_password="-",
            database_port=1, database_name="-", database_password="-",
        )  # fmt: skip
        self.desk = MemoryDesk(self.storage)
        self.desk.admit(SHOP, TOKEN)
        self.desk.admit(OTHER_SHOP, OTHER_TOKEN)
        self.producer, self.for_clicks = self.broker.producer(), self.broker.producer()
        self.keyring = self.vault.principal("gateway")
        self.worker = build(self.settings, MemoryRequestStore())
        self.rebuild()

    def rebuild(self) -> None:
        """Compose the application again, after one of its parts was replaced."""
        self.app, self.behind, self.anonymiser, self.clicks = door(
            self.settings, self.keyring, self.producer, self.for_clicks, self.desk
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway")

    async def post(
        self, path: str, body: Any, token: str = TOKEN, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Post a body, encoded as it is if it is bytes; authorised and declared as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fixed = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return await self.http.post(path, content=content, headers=fixed | (headers or {}))

    async def take(self, body: Any, **more: Any) -> httpx.Response:
        """Post events."""
        return await self.post("/v1/events", body, **more)

    async def get(self, path: str, token: str = TOKEN) -> httpx.Response:
        """Get a resource as a storefront."""
        return await self.http.get(path, headers={"authorization": f"Bearer {token}"})

    def records(self, topic: str = "orders") -> list[Record]:
        """Return what Kafka has."""
        return self.broker.records(topic)


def headers_of(record: Record) -> dict[str, str]:
    """Return a record's headers as text."""
    return {name: value.decode() for name, value in record.headers}


def this_hour() -> str:
    """Return the start of this hour as an event says it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z")
