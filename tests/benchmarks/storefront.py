"""A shop that sends orders at a steady rate, and knows when each was accepted."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from services.demo import people
from services.demo.retail import Purchase
from tests.benchmarks.shopping import purchases
from tests.fixtures.shop import new_id, paid, placed

TICK_SECONDS = 0.05
SENDERS = 4


@dataclass(frozen=True)
class Order:
    """One order, placed and paid at once."""

    number: int
    subject: str
    id: str
    purchase: Purchase

    def events(self, carrier: str) -> list[dict[str, Any]]:
        """Return what the shop says about it; its number is the recipient's name, so that its label is known again."""
        ship_to = people.recipient(self.purchase) | {"name": str(self.number)}
        invoice = people.invoice(self.purchase)
        basket = people.basket(self.purchase)
        return [
            placed(self.subject, self.id, carrier, basket=basket, ship_to=ship_to),
            paid(self.subject, self.id, invoice=invoice),
        ]


@dataclass
class Storefront:
    """Sends over a few kept connections; an order that is not accepted ends the benchmark."""

    url: str
    token: str
    carrier: str
    accepted: dict[int, float] = field(default_factory=dict)
    """When each order was accepted, by its number: seconds since the epoch."""
    _local: threading.local = field(default_factory=threading.local)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _purchases: Iterator[Purchase] = field(default_factory=lambda: itertools.cycle(purchases()))

    def orders(self, count: int) -> list[Order]:
        """Return so many new orders, each of somebody new."""
        return [Order(next(self._numbers), new_id(), new_id(), next(self._purchases)) for _ in range(count)]

    def send(self, orders: Sequence[Order], carrier: str = "") -> None:
        """Send some orders in one call."""
        self._post(self._body(orders, carrier), orders)

    def rush(self, orders: Sequence[Order], at_once: int) -> None:
        """Send orders as fast as they are accepted, `at_once` in a call."""
        chunks = [orders[start : start + at_once] for start in range(0, len(orders), at_once)]
        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(self.send, chunks))

    def flow(self, per_second: float, seconds: float) -> list[Order]:
        """Send at a steady rate, however long an answer takes; return what was sent."""
        sent: list[Order] = []
        began = time.monotonic()
        with ThreadPoolExecutor(4 * SENDERS) as senders:
            waiting = []
            while (passed := time.monotonic() - began) < seconds:
                due = self.orders(int(passed * per_second) + 1 - len(sent))
                if due:
                    sent += due
                    waiting.append(senders.submit(self.send, due))
                time.sleep(TICK_SECONDS)
            for each in waiting:
                each.result()
        return sent

    def _body(self, orders: Sequence[Order], carrier: str) -> bytes:
        return orjson.dumps([event for order in orders for event in order.events(carrier or self.carrier)])

    def _post(self, body: bytes, orders: Sequence[Order]) -> None:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        connection = self._local.connection
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/events", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 202, said[:200]
        now = time.time()
        self.accepted.update((order.number, now) for order in orders)
