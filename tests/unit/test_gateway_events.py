"""What the gateway does with events: seals, hands over, acknowledges, or says why not."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from schemas.envelope import read_envelope
from schemas.erasure import Destroy
from schemas.orders import OrderPlaced
from schemas.privacy import Purpose
from schemas.topics import ORDERS
from services.kernel.broker.interface import Message
from services.kernel.broker.memory import MemoryProducer
from services.kernel.errors import LaneLost
from services.kernel.ids import random_id
from services.kernel.sealing.keys import KeyRef
from services.kernel.sealing.lease import Want
from services.kernel.worker.decode import Decoder
from services.kernel.worker.fold import Fold
from services.kernel.worker.worker import Worker
from tests.unit.gateway_room import (
    CANARY,
    INVOICE,
    OTHER_TOKEN,
    RECIPIENT,
    Room,
    cancelled,
    event_of,
    headers_of,
    placed,
    this_hour,
)


@pytest.fixture
def room() -> Room:
    return Room()


def erase(room: Room, subject: str) -> None:
    """Let the keyring hear that a subject is to be erased."""
    room.vault.apply(subject, Destroy(request=random_id(), round=1))


async def test_an_order_reaches_kafka_sealed_and_under_its_subject(room: Room) -> None:
    """T1: what stands in the topic shows ids and types, no personal value."""
    event = placed()
    answer = await room.take(event)
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    (record,) = room.records()
    assert record.key == event["subject"].encode()
    assert CANARY.encode() not in record.value + repr(record.headers).encode()
    assert set(json.loads(record.value)) == {"order", "carrier", "basket", "ship_to"}
    assert headers_of(record) == {
        "ce_specversion": "1.0",
        "ce_id": event["id"],
        "ce_type": "lethe.order.placed.v1",
        "ce_source": "/storefronts/bookshop",
        "ce_time": this_hour(),
        "ce_subject": event["subject"],
        "ce_policyversion": "1",
        "content-type": "application/json",
    }


async def test_what_the_gateway_sealed_keeps_the_contract_and_opens_for_the_carrier(room: Room) -> None:
    event = placed()
    await room.take(event)
    (record,) = room.records()
    reader = Worker(
        name="orders", reads=(ORDERS,), handler=Fold(lambda *_: None, None, key=lambda event, _: event.order)
    )
    order = Decoder(reader).decode(record).event
    assert isinstance(order, OrderPlaced)
    ref = KeyRef(event["subject"], OrderPlaced.personal_fields()["ship_to"].category, order.order)
    want = Want(order.ship_to.token, order.place("ship_to"), ref)  # type: ignore[arg-type]
    async with room.vault.principal("carriers").lease(Purpose.DELIVERY, [want]) as lease:
        assert json.loads(lease.unseal(want)) == RECIPIENT  # type: ignore[arg-type]


async def test_the_senders_time_travels_as_its_hour(room: Room) -> None:
    await room.take(placed() | {"time": "2026-11-23T10:59:59.999+02:00"})
    assert headers_of(room.records()[0])["ce_time"] == "2026-11-23T08:00:00Z"


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (f"00-{CANARY}", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
    ],
)
async def test_only_a_valid_trace_parent_is_passed_on(room: Room, sent: str, passed_on: bool) -> None:
    await room.take(placed(), headers={"traceparent": sent})
    assert headers_of(room.records()[0]).get("traceparent") == (sent if passed_on else None)


async def test_headers_are_those_of_the_envelope(room: Room) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    event = placed() | {"time": "2026-11-23T10:59:59Z"}
    await room.take(event, headers={"traceparent": trace})
    (record,) = room.records()
    envelope = read_envelope(record.headers)
    assert sorted(envelope.headers()) == sorted(record.headers)
    assert (envelope.id, envelope.subject, envelope.traceparent) == (event["id"], event["subject"], trace)


async def test_every_type_a_storefront_may_send_is_taken(room: Room) -> None:
    order, subject = random_id(), random_id()
    paid = event_of("paid", subject, {"order": order, "invoice": INVOICE})
    for event in (placed(subject, order), paid, cancelled(subject)):
        assert (await room.take(event)).status_code == 202
    assert len(room.records()) == 3
    assert all(CANARY.encode() not in record.value for record in room.records())


async def test_of_an_array_the_good_ones_are_accepted_and_each_bad_one_is_named(room: Room) -> None:
    good, bad, foreign = placed(), placed(carrier="NOT A NAME"), placed()
    await room.take(placed(foreign["subject"]), token=OTHER_TOKEN)
    answer = await room.take([good, bad, CANARY, foreign, cancelled()])
    assert answer.status_code == 207
    assert answer.json() == {
        "results": [
            {"status": 202},
            {"status": 422, "code": "string-pattern-mismatch", "field": "data.carrier"},
            {"status": 422, "code": "not-an-object"},
            {"status": 403, "code": "subject-foreign", "field": "subject"},
            {"status": 202},
        ]
    }
    assert len(room.records()) == 3
    everything = await room.take([placed(), placed()])
    assert (everything.status_code, everything.json()) == (
        202,
        {"results": [{"status": 202}, {"status": 202}]},
    )


async def test_a_repeat_is_accepted_again_under_the_same_id(room: Room) -> None:
    event = placed()
    assert [(await room.take(event)).status_code for _ in range(2)] == [202, 202]
    assert [headers_of(record)["ce_id"] for record in room.records()] == [event["id"]] * 2


@pytest.mark.parametrize("make", [placed, cancelled])
async def test_an_erased_subject_is_gone(room: Room, make) -> None:
    """R3: nobody brings an erased person back, with or without personal fields."""
    event = make()
    erase(room, event["subject"])
    answer = await room.take(event)
    assert (answer.status_code, answer.json()) == (410, {"code": "subject-erased", "field": "subject"})
    assert room.records() == []


@pytest.mark.parametrize("make", [placed, cancelled])
async def test_another_storefronts_subject_is_forbidden_and_nothing_more_is_told(room: Room, make) -> None:
    event = make()
    await room.take(event, token=OTHER_TOKEN)
    before = len(room.records())
    answer = await room.take(event)
    assert (answer.status_code, answer.json()) == (403, {"code": "subject-foreign", "field": "subject"})
    erase(room, event["subject"])
    assert (await room.take(event)).content == answer.content
    assert len(room.records()) == before


class SlowProducer(MemoryProducer):
    """Acknowledges when it is told to."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.broker)
        self.go = asyncio.Event()
        self.flushes: list[int] = []

    async def send(self, messages: Sequence[Message]) -> None:
        self.flushes.append(len(messages))
        await self.go.wait()
        await super().send(messages)


async def test_nothing_is_acknowledged_before_kafka_has_it(room: Room) -> None:
    room.producer = producer = SlowProducer(room)
    room.rebuild()
    asked = asyncio.create_task(room.take(placed()))
    await asyncio.sleep(0.05)
    assert not asked.done()
    producer.go.set()
    assert (await asked).status_code == 202


async def test_concurrent_requests_share_what_goes_to_kafka(room: Room) -> None:
    room.producer = producer = SlowProducer(room)
    room.rebuild()
    asked = [asyncio.create_task(room.take(placed())) for _ in range(40)]
    await asyncio.sleep(0.2)
    producer.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {202}
    assert len(producer.flushes) <= 2
    assert sum(producer.flushes) == 40


async def test_kafka_away_is_a_503_and_an_accepted_repeat_later(room: Room) -> None:
    event = placed()
    room.broker.away = True
    answer = await room.take([event, placed()])
    assert (answer.status_code, answer.json()) == (503, {"code": "broker-unavailable"})
    assert int(answer.headers["retry-after"]) >= 1
    room.broker.away = False
    assert (await room.take(event)).status_code == 202


async def test_kafka_silent_is_a_503_too(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.behind.SEND_SECONDS", 0.05)
    room.producer = SlowProducer(room)
    room.rebuild()
    assert (await room.take(placed())).json() == {"code": "broker-unavailable"}


async def test_a_producer_that_kafka_has_forgotten_is_replaced(room: Room) -> None:
    class Forgotten(MemoryProducer):
        known = False

        async def send(self, messages: Sequence[Message]) -> None:
            if not self.known:
                raise LaneLost("InvalidProducerIdMapping")
            await super().send(messages)

        async def stop(self) -> None:
            self.known = True

    room.producer = Forgotten(room.broker)
    room.rebuild()
    event = placed()
    assert (await room.take(event)).json() == {"code": "broker-unavailable"}
    assert (await room.take(event)).status_code == 202


async def test_keyring_away_is_a_503_and_nothing_reaches_kafka(room: Room) -> None:
    room.vault.away = True
    answer = await room.take(placed())
    assert (answer.status_code, answer.json()) == (503, {"code": "keyring-unavailable"})
    assert int(answer.headers["retry-after"]) >= 1
    assert room.records() == []


async def test_a_keyring_that_refuses_the_gateway_is_a_503_not_a_leak(room: Room) -> None:
    room.keyring = room.vault.principal("orders")
    room.rebuild()
    assert (await room.take(placed())).status_code == 503
