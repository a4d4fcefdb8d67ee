"""The SDK and the gateway, face to face over a socket."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from schemas.erasure import Destroy
from services.kernel.http.server import HttpServer
from services.kernel.ids import random_id
from services.storefront import Lethe
from tests.unit.gateway_room import BASKET, INVOICE, RECIPIENT, TOKEN, Room, headers_of


class Served:
    """A gateway whose event loop has a thread of its own."""

    def __init__(self) -> None:
        self.room = Room()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = HttpServer(self.room.app, "127.0.0.1", 0)
        self.run(self.server.start())

    def run(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def stop(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    yield running
    running.stop()


def client(served: Served, token: str = TOKEN) -> Lethe:
    return Lethe(f"http://127.0.0.1:{served.server.port}", token, on_error=lambda code, ids: None)


def place(shop: Lethe, subject: str, **changes) -> str | None:
    return shop.place(
        subject, shop.new_order(), carrier="swiftpost", basket=BASKET | changes, ship_to=RECIPIENT
    )


def test_a_whole_order_is_taken(served: Served) -> None:
    shop = client(served)
    subject, order = shop.new_subject(), shop.new_order()
    sent = [
        shop.place(subject, order, carrier="swiftpost", basket=BASKET, ship_to=RECIPIENT),
        shop.pay(subject, order, invoice=INVOICE),
        shop.cancel(subject, order),
    ]
    assert shop.close()
    assert shop.report().refused == {}
    records = served.room.records()
    assert [headers_of(record)["ce_id"] for record in records] == sent
    assert {record.key for record in records} == {subject.encode()}


def test_what_is_refused_is_reported_with_the_gateways_codes(served: Served) -> None:
    shop = client(served)
    forgotten = shop.new_subject()
    served.room.vault.apply(forgotten, Destroy(request=random_id(), round=1))
    place(shop, forgotten)
    place(shop, shop.new_subject(), total_minor=1)
    place(shop, shop.new_subject())
    # Two keys that JSON cannot tell apart spoil the whole body; the SDK finds the one event.
    shop.event("lethe.order.cancelled.v1", shop.new_subject(), {1: "a", "1": "b"})  # type: ignore[dict-item]
    assert shop.close()
    report = shop.report()
    assert report.accepted == 1
    assert report.refused == {"subject-erased": 1, "total-wrong": 1, "duplicate-key": 1}


def test_a_revoked_storefront_is_told(served: Served) -> None:
    shop = client(served, "revoked")
    place(shop, shop.new_subject())
    assert shop.close()
    assert shop.report().refused == {"token-wrong": 1}


def test_the_gateway_comes_back_and_everything_arrives_once_accepted(served: Served) -> None:
    shop = client(served)
    served.room.broker.away = True
    ids = [place(shop, shop.new_subject()) for _ in range(5)]
    assert shop.flush(0.5) is False
    served.room.broker.away = False
    assert shop.close()
    assert [headers_of(record)["ce_id"] for record in served.room.records()] != []
    assert {headers_of(record)["ce_id"] for record in served.room.records()} == set(ids)


def test_a_wish_is_taken_and_can_be_followed(served: Served) -> None:
    shop = client(served)
    wish = shop.erase(shop.new_subject())
    assert wish is not None
    assert wish.accepted(5)
    status = shop.erasure_status(wish.request)
    assert status is not None
    assert status["state"] == "received"
    assert shop.certificate(wish.request) is None
    assert len(served.room.records("erasure.requests")) == 1
    shop.close()
