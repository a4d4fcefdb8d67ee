"""From an order to its carrier and back, on in-memory twins: what leaves, what comes in, what an erasure leaves."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from schemas.deliveries import TrackingStatus
from schemas.envelope import read_envelope
from schemas.erasure import PartnerAcknowledged
from schemas.privacy import Category
from schemas.topics import DELIVERIES, RECEIPTS, SHIPMENTS
from services.dispatch.domain import Stage
from services.kernel.ids import random_id
from services.kernel.worker.endings import CONSUMED, DEAD_LETTERED, REPEATED, SUPPRESSED
from services.orders.domain import Stage as OrderStage
from tests.unit.dispatch_room import FIELDS, OUT, UPDATES, Room

ANNA, BEN = "a" * 32, "b" * 32


@pytest.fixture
async def room():
    room = Room()
    yield room
    await room.stop()


async def paid(room, subject=ANNA, order=None, note="anna"):
    """Start what is not running, and bring one order to its carrier; return order and reference."""
    order = order or random_id()
    if not room.loops:
        await room.start()
    before = len(room.read())
    await room.place(subject, order, note)
    await room.pay(subject, order)
    await room.settle()
    return order, room.read()[before][0]


async def test_a_paid_order_reaches_its_carrier_filtered_and_sealed_for_it_alone(room):
    """D2: the agreement's fields and no more."""
    room.sign()
    await paid(room)
    ((reference, label),) = room.read()
    assert label.keys() == set(FIELDS)
    assert (label["name"], "delivery_note" in label) == ("Name anna", False)
    (record,) = room.broker.records(OUT)
    visible = record.key + record.value + b"".join(value for _, value in record.headers)
    assert reference.encode() in visible
    for hidden in (ANNA, *room.rows("orders")["orders"]):
        assert hidden.encode() not in visible, "neither subject nor order id leaves the platform"
    envelope = read_envelope(record.headers)
    assert (envelope.subject, envelope.type) == (None, "lethe.parcel.offered.v1")


async def test_a_delivered_order_closes_and_its_carrier_must_forget(room):
    """D4: once the service is completed the partner no longer keeps the address."""
    room.sign()
    order, reference = await paid(room)
    room.report(reference, TrackingStatus.DELIVERED)
    await room.settle()
    assert room.rows("orders")["orders"][order].stage is OrderStage.CLOSED
    assert room.read()[1:] == [(reference, "completed")]
    room.acknowledge(reference)
    await room.settle()
    assert room.rows("carriers")["shipment"][order].stage is Stage.FORGOTTEN
    assert room.letters("carriers") == room.letters("orders") == []


async def test_without_an_agreement_nothing_leaves_until_there_is_one(room):
    """D3: the shipment is held, visibly."""
    await room.start()
    order = random_id()
    await room.place(ANNA, order, "anna")
    await room.pay(ANNA, order)
    await room.settle()
    row = room.rows("carriers")["shipment"][order]
    assert (row.stage, row.code) == (Stage.HELD, "partner-unknown")
    assert room.read() == []
    room.sign()
    await room.until(lambda: room.read())
    assert room.read()[0][1]["name"] == "Name anna"


async def test_two_shipments_of_one_person_share_no_reference(room):
    room.sign()
    _, first = await paid(room)
    _, second = await paid(room)
    assert first != second


async def test_updates_for_unknown_and_foreign_references_are_dead_letters_and_change_nothing(room):
    room.sign()
    order, reference = await paid(room)
    room.broker.topics |= {"partner.other.updates": 1}
    room.report("9" * 32, TrackingStatus.DELIVERED)
    room.acknowledge("9" * 32)
    await room.settle()
    assert room.letters("carriers") == ["reference-unknown", "reference-unknown"]
    assert room.said(DELIVERIES.name, PartnerAcknowledged) == []
    assert room.rows("orders")["orders"][order].stage is OrderStage.PAID
    await room.stop("carriers.updates")
    await room.start("carriers.updates")
    room.report(reference, TrackingStatus.DELIVERED, topic="partner.other.updates")
    await room.until(lambda: len(room.letters("carriers")) >= 3)
    assert room.letters("carriers")[-1] == "reference-foreign"
    assert room.rows("orders")["orders"][order].stage is OrderStage.PAID


async def test_an_update_that_breaks_its_contract_is_a_dead_letter(room):
    await room.start()
    room.say(UPDATES, ANNA, PartnerAcknowledged(request="e" * 32, owner="carriers", partners=()))
    await room.settle()
    assert room.letters("carriers") == ["type-unknown"]


async def test_repeated_updates_change_nothing(room):
    room.sign()
    order, reference = await paid(room)
    for _ in range(3):
        room.report(reference, TrackingStatus.DELIVERED)
        room.acknowledge(reference)
    await room.settle()
    assert room.rows("orders")["orders"][order].stage is OrderStage.CLOSED
    assert [each for _, each in room.read()[1:]] in ([], ["completed"])
    assert room.letters("carriers") == room.letters("orders") == []
    assert set(room.endings("orders", DELIVERIES.name)) == {CONSUMED, REPEATED}


async def test_erasure_takes_the_address_and_waits_for_the_partners_word(room):
    """R3, D4: the carrier's copy is revoked; its word is noted when it comes, never suppressed."""
    room.sign()
    order, reference = await paid(room)
    room.report(reference, TrackingStatus.DELIVERED)
    await room.settle()
    room.erase(ANNA)
    await room.settle()
    (receipt,) = room.receipts("carriers")
    (told,) = receipt.partners
    assert (receipt.stored, told.partner, told.revoked, told.acknowledged) == (True, "swift", 1, 0)
    assert told.due_at is not None
    assert told.log_clear_at > receipt.done_at + timedelta(hours=71)
    row = room.rows("carriers")["shipment"][order]
    assert (row.stage, row.reference, row.service, row.ship_to) == (Stage.REVOKED, reference, None, None)
    room.acknowledge(reference)
    await room.settle()
    (acknowledged,) = room.said(RECEIPTS.name, PartnerAcknowledged)
    (word,) = acknowledged.partners
    assert (acknowledged.request, acknowledged.owner) == ("e" * 32, "carriers")
    assert (word.revoked, word.acknowledged, word.due_at) == (1, 1, None)
    assert room.rows("carriers")["shipment"][order].reference is None
    room.acknowledge(reference)
    await room.settle()
    assert room.letters("carriers") == []
    assert len(room.said(RECEIPTS.name, PartnerAcknowledged)) == 1


async def test_a_request_that_comes_after_its_persons_erasure_lets_no_address_in(room):
    """Also where the order is excepted for its invoice's sake."""
    room.sign()
    await room.start("orders")
    order = random_id()
    await room.place(ANNA, order, "anna")
    await room.pay(ANNA, order)
    await room.settle()
    room.hear_holds()
    room.cancel(ANNA, order)
    await room.settle()
    room.erase(ANNA)
    await room.settle()
    await room.start("carriers", "carriers.updates")
    await room.settle()
    assert room.read() == []
    assert order not in room.rows("carriers")["shipment"]
    assert room.endings("carriers", SHIPMENTS.name)[SUPPRESSED] >= 1
    (receipt,) = room.receipts("carriers")
    assert (receipt.stored, receipt.partners) == (False, ())


async def test_an_open_order_of_an_erased_person_is_delivered_and_then_dies(room):
    room.sign()
    order, reference = await paid(room)
    held = room.erase(ANNA)
    assert {(each.scope, each.category) for each in held} == {
        (order, each) for each in Category if each != "identity"
    }
    await room.settle()
    (receipt,) = room.receipts("carriers")
    assert ([each.category for each in receipt.retained], receipt.partners) == ([Category.LOGISTICS], ())
    room.report(reference, TrackingStatus.DELIVERED)
    await room.settle()
    assert room.rows("orders")["orders"][order].stage is OrderStage.CLOSED
    assert room.read()[1:] == [(reference, "completed")]
    held = room.erase(ANNA, round_number=2)
    await room.settle()
    assert [each.category for each in held] == [Category.ACCOUNTING]
    row = room.rows("orders")["orders"][order]
    assert (row.basket, row.ship_to) == (None, None)
    assert row.invoice is not None
    second = room.receipts("carriers")[1]
    assert (second.retained, [each.revoked for each in second.partners]) == ((), [1])
    (orders,) = room.receipts("orders")[1:]
    assert (orders.anonymised, [each.category for each in orders.retained]) == (1, [Category.ACCOUNTING])


async def test_a_held_order_of_an_erased_person_can_still_be_paid(room):
    room.sign()
    await room.start()
    order = random_id()
    await room.place(ANNA, order, "anna")
    await room.settle()
    room.erase(ANNA)
    await room.settle()
    await room.pay(ANNA, order)
    await room.settle()
    assert room.read()[0][1]["name"] == "Name anna"


async def test_late_reports_on_an_erased_persons_parcel_are_suppressed(room):
    room.sign()
    order, reference = await paid(room)
    room.cancel(ANNA, order)
    await room.settle()
    room.hear_holds()
    room.erase(ANNA)
    await room.settle()
    tables = room.storages["orders"].tables
    tables.suppression[ANNA] = frozenset()
    room.report(reference, TrackingStatus.IN_TRANSIT)
    await room.settle()
    assert room.endings("orders", DELIVERIES.name) == {SUPPRESSED: 1}


async def test_other_peoples_shipments_are_untouched_by_an_erasure(room):
    room.sign()
    _order, reference = await paid(room)
    bens, _ = await paid(room, BEN, note="ben")
    before = room.rows("carriers")["shipment"][bens], room.rows("orders")["orders"][bens]
    room.report(reference, TrackingStatus.DELIVERED)
    await room.settle()
    room.erase(ANNA)
    await room.settle()
    assert (room.rows("carriers")["shipment"][bens], room.rows("orders")["orders"][bens]) == before
    assert DEAD_LETTERED not in room.endings("carriers", SHIPMENTS.name)


async def test_the_end_of_an_agreement_revokes_what_is_with_the_partner(room):
    room.sign()
    order, reference = await paid(room)
    partner = room.rows("carriers")["partner"]["swift"]
    (timer_key,) = (
        key for key in room.storages["carriers"].tables.timers if key[2].endswith("agreement-ended.v1")
    )
    room.sign(ended_at=partner.agreements[0].valid_from)
    tables = room.storages["carriers"].tables
    tables.timers[timer_key] = type(tables.timers[timer_key])(
        **{
            name: getattr(tables.timers[timer_key], name)
            for name in ("state_key", "event_type", "subject", "scope", "body")
        },
        due_at=tables.timers[timer_key].due_at - timedelta(days=2),
    )
    await room.settle()
    assert room.read()[1:] == [(reference, "agreement-ended")]
    assert room.rows("carriers")["shipment"][order].stage is Stage.REVOKED


async def test_an_unacknowledged_revocation_is_sent_again_also_after_an_erasure():
    room = Room(revoke_again_hours=0.0002)
    try:
        room.sign()
        _, reference = await paid(room)
        room.report(reference, TrackingStatus.DELIVERED)
        await room.until(lambda: len(room.read()) >= 3)
        room.erase(ANNA)
        so_far = len(room.read())
        await room.until(lambda: len(room.read()) >= so_far + 2)
        assert set(room.read()[1:]) == {(reference, "completed")}
        room.acknowledge(reference)
        await asyncio.sleep(1)
        silent = len(room.read())
        await asyncio.sleep(1.5)
        assert len(room.read()) == silent
    finally:
        await room.stop()


async def test_a_partner_who_writes_nonsense_stops_nobody(room):
    """Its updates are dead letters, however many; the breaker is for what our own workers write."""
    room.sign()
    order, reference = await paid(room)
    for number in range(250):
        if number % 5 == 0:
            room.acknowledge("9" * 32)
        room.say(UPDATES, ANNA, PartnerAcknowledged(request="e" * 32, owner="carriers", partners=()))
    room.report(reference, TrackingStatus.DELIVERED)
    await room.settle()
    assert room.rows("orders")["orders"][order].stage is OrderStage.CLOSED
    assert Counter(room.letters("carriers")) == {"reference-unknown": 50, "type-unknown": 250}
