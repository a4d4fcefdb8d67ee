"""A person is forgotten: nothing of them can be read anywhere, nothing brings it back, nobody else is touched."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from deploy.local.stack import Stack
from services.scan import scan
from tests.fixtures import attic, certificates, evidence
from tests.fixtures.canaries import ACCOUNTING, LOGISTICS, MARKS, TRANSACTION, Person
from tests.fixtures.carrier import FIELDS, KEEP, Carrier
from tests.fixtures.evidence import Entry, await_
from tests.fixtures.lethe import redrive
from tests.fixtures.shop import Shop, cancelled, new_id, placed

CERTIFY_SECONDS = 90.0


@dataclass
class Scene:
    """One shop, one carrier, and what their customers did."""

    stack: Stack
    shop: Shop
    carrier: Carrier
    folder: Path
    closed: Person = field(default_factory=Person)
    """One delivered order, one cancelled after it was paid, one before, and a payment of one that nobody placed."""
    waiting: Person = field(default_factory=Person)
    """One delivered order, one that the carrier still has, one not paid yet."""
    other: Person = field(default_factory=Person)
    """Never asks to be forgotten."""
    others: dict[str, list[str]] = field(default_factory=dict)
    """Rows that are not about the two who ask."""
    records: list[Entry] = field(default_factory=list)
    """Everything on the topic of orders before anybody was forgotten: what a replay would bring."""
    requests: dict[str, str] = field(default_factory=dict)

    @property
    def people(self) -> list[Person]:
        return [self.closed, self.waiting, self.other]

    def shop_around(self) -> None:
        """Let everybody do what their story says."""
        shop, name = self.shop, self.carrier.name
        for person in self.people:
            shop.say(person.places(name))
            shop.say(person.pays(person.orders[0]))
        shop.say(self.closed.places(name), self.closed.places(name))
        taken_back, unpaid = self.closed.orders[1:]
        shop.say(self.closed.pays(taken_back), cancelled(self.closed.subject, taken_back))
        shop.say(cancelled(self.closed.subject, unpaid), self.closed.pays(new_id()))
        kept = self.waiting.places(name)
        self.waiting.canaries.pop((self.waiting.orders[1], LOGISTICS, "delivery-note"))
        kept["data"]["ship_to"]["delivery_note"] = KEEP
        shop.say(kept, self.waiting.pays(self.waiting.orders[1]), self.waiting.places(name))
        for person in self.people:
            await_("closed", lambda order=person.orders[0]: self.stage(order) == "closed")
        await_("forgotten by the carrier", lambda: self.shipments("forgotten") == 4)
        await_("offered", lambda: self.reference(self.waiting.orders[1]) in self.carrier.labels)
        await_("placed", lambda: self.stage(self.waiting.orders[2]) == "placed")
        await_(
            "set aside", lambda: "orders.dead_letter" in evidence.rows_about(self.stack, self.closed.subject)
        )

    def stage(self, order: str) -> str | None:
        """Return where an order stands, None when there is no row of it."""
        sql = "SELECT stage FROM {schema}.orders WHERE order_id = $1"
        found = evidence.of_worker(self.stack, "orders", sql, order)
        return found[0]["stage"] if found else None

    def shipments(self, stage: str) -> int:
        """Return how many of the carrier's shipments are in a stage."""
        sql = "SELECT count(*) FROM {schema}.shipment WHERE partner = $1 AND stage = $2"
        return evidence.of_worker(self.stack, "carriers", sql, self.carrier.name, stage)[0]["count"]

    def reference(self, order: str) -> str:
        """Return what the carrier knows an order by, empty as long as it knows nothing."""
        sql = "SELECT reference FROM {schema}.shipment WHERE order_id = $1"
        found = evidence.of_worker(self.stack, "carriers", sql, order)
        return found[0]["reference"] if found else ""

    def texts(self, *people: Person) -> list[str]:
        """Return everything that was planted in these people's fields."""
        return [text for person in people for text in person.texts()]

    def readable(self, *people: Person) -> set[str]:
        """Return what somebody with every living key can read of these people, in whatever copy."""
        orders = {order for person in people for order, _, _ in person.canaries}
        return attic.readable(self.stack, orders, self.texts(*people))

    def certificate(self, person: Person) -> dict[str, Any]:
        """Return what a person's newest certificate says."""
        return certificates.fetch(self.stack, self.shop, self.requests[person.subject], self.folder)

    def certify(self, person: Person) -> None:
        """Ask that a person be forgotten and wait for the certificate."""
        request = self.requests[person.subject] = self.shop.erase(person.subject)
        await_("certified", lambda: self.shop.erasure(request)["state"] == "certified", CERTIFY_SECONDS)

    def replay(self, records: list[Entry]) -> None:
        """Write old records to their topic again, as a restored or confused producer would."""
        producer = Producer(self.stack.kafka_settings("gateway"))
        for each in records:
            headers = [(name, value.encode()) for name, value in each.headers.items()]
            producer.produce(each.topic, each.value, each.key, each.partition, headers=headers)
        assert producer.flush(20) == 0


@pytest.fixture(scope="module")
def scene(battered: Stack, folder: Path) -> Iterator[Scene]:
    """Three customers of a shop; everything they did has reached its end, but two orders of one of them.

    On a platform of their own: rows of others must not change, not even by what others do.
    """
    stack = battered
    carrier = Carrier.sign(stack, folder, fields=(*FIELDS, "email")).start()
    found = Scene(stack, Shop.open(stack, folder), carrier, folder)
    found.shop_around()
    found.others = evidence.rows_of_others(stack, [found.closed.subject, found.waiting.subject])
    subjects = [person.subject for person in found.people]
    found.records = [each for each in evidence.read(stack, ["orders"]) if each.key in subjects]
    yield found
    carrier.stop()


@pytest.fixture(scope="module")
def before(scene: Scene) -> set[str]:
    """What who holds every key can read of all three people, before anybody asks to be forgotten."""
    return scene.readable(*scene.people)


@pytest.fixture(scope="module")
def forgotten(scene: Scene, before: set[str]) -> Scene:
    """Two of them have been forgotten."""
    for person in (scene.closed, scene.waiting):
        scene.certify(person)
    return scene


def test_every_text_lies_sealed_and_nowhere_in_clear(scene: Scene, before: set[str]) -> None:
    """Who holds every key finds each text; who searches topics, tables, logs and files finds none (T1)."""
    planted = scene.texts(*scene.people)
    assert len(planted) == len(set(planted)) == len(before)
    assert all(any(mark in text for mark in MARKS) for text in planted)
    assert scan(scene.stack, MARKS).finds == []


def test_of_the_forgotten_only_what_the_certificate_lists_can_be_read(forgotten: Scene) -> None:
    """Not one text more, with every living key tried on every copy; and what is held still opens (R3, T1)."""
    for person, grounds in (
        (forgotten.closed, {(ACCOUNTING, "statutory"), (ACCOUNTING, "provisional")}),
        (
            forgotten.waiting,
            {
                (ACCOUNTING, "statutory"),
                (ACCOUNTING, "open-order"),
                (TRANSACTION, "open-order"),
                (LOGISTICS, "open-order"),
            },
        ),
    ):
        certificate = forgotten.certificate(person)
        assert certificates.grounds(certificate) == grounds
        held = certificates.retained(certificate)
        expected = {text for (order, kind, _), text in person.canaries.items() if (order, kind) in held}
        assert {*map(person.name_of, forgotten.readable(person))} == {*map(person.name_of, expected)}
    assert scan(forgotten.stack, MARKS).finds == []


def test_nobody_else_is_touched(forgotten: Scene) -> None:
    """Rows of other people are the same to the byte, and their texts are still there."""
    names = [forgotten.closed.subject, forgotten.waiting.subject]
    assert evidence.rows_of_others(forgotten.stack, names) == forgotten.others
    assert forgotten.readable(forgotten.other) == {*forgotten.texts(forgotten.other)}


def test_the_carriers_own_topic_keeps_what_the_carrier_was_given(forgotten: Scene) -> None:
    """Said honestly: a copy that left does not die with our keys, so it was revoked, and acknowledged (D4)."""
    carrier = forgotten.carrier
    offered = [each for each in evidence.read(forgotten.stack, [carrier.shipments]) if each.value]
    texts = str([carrier.open(each.value or b"") for each in offered])
    assert forgotten.closed.canaries[forgotten.closed.orders[0], LOGISTICS, "name"] in texts
    (partner,) = forgotten.certificate(forgotten.closed)["partners"]
    assert (partner["partner"], partner["revoked"], partner["acknowledged"]) == (carrier.name, 2, 2)
    assert partner["log_clear_at"]


def test_nothing_late_repeated_or_redriven_brings_anything_back(forgotten: Scene) -> None:
    """Old records written again are suppressed or repeat what is known, new ones refused, letters redriven in vain."""
    stack, closed = forgotten.stack, forgotten.closed
    rows = evidence.rows_about(stack, closed.subject)
    before = evidence.endings(stack, "orders")["orders"]
    forgotten.replay([each for each in forgotten.records if _about(each, closed.orders)])
    evidence.await_all_read(stack)
    after = evidence.endings(stack, "orders")["orders"] - before
    # Of two orders the law keeps the invoice: what carries nothing else comes to the worker, and was said before.
    assert after == {"suppressed": 4, "repeated": 3}
    redrive(stack.state, "orders", "order-unknown")
    evidence.await_no_redrive(stack, "orders")

    assert evidence.rows_about(stack, closed.subject) == rows
    assert forgotten.shop.send([placed(closed.subject, new_id(), forgotten.carrier.name)]) == [410]
    held = certificates.retained(forgotten.certificate(closed))
    allowed = {text for (order, kind, _), text in closed.canaries.items() if (order, kind) in held}
    assert forgotten.readable(closed) == allowed


def _about(record: Entry, orders: list[str]) -> bool:
    return json.loads(record.value or b"{}")["order"] in orders


def test_an_open_order_of_the_forgotten_is_carried_out_and_then_dies_by_itself(forgotten: Scene) -> None:
    """One is delivered, one still to be paid: both end as agreed, a later certificate supersedes the first (R3)."""
    waiting, stack = forgotten.waiting, forgotten.stack
    first = forgotten.certificate(waiting)
    with_carrier, unpaid = waiting.orders[1:]
    forgotten.carrier.deliver(forgotten.reference(with_carrier))
    await_("gone", lambda: forgotten.stage(with_carrier) in (None, "closed"))
    forgotten.shop.say(waiting.pays(unpaid))
    await_("closed", lambda: forgotten.stage(unpaid) in (None, "closed"))

    def settled() -> bool:
        return certificates.grounds(forgotten.certificate(waiting)) == {(ACCOUNTING, "statutory")}

    await_("the last round is certified", settled, CERTIFY_SECONDS)
    last = forgotten.certificate(waiting)
    assert last["round"] > first["round"] and last["supersedes"]
    assert {*waiting.texts(categories=(ACCOUNTING,))} == forgotten.readable(waiting)
    sealed = evidence.of_worker(
        stack, "orders", "SELECT * FROM {schema}.orders WHERE subject = $1", waiting.subject
    )
    assert {(row["basket"], row["ship_to"]) for row in sealed} == {(None, None)}
    state = evidence.of_worker(
        stack, "keyring", "SELECT * FROM {schema}.subject WHERE id = $1", waiting.subject
    )
    assert state[0]["state"] == "erasing", "the statutory invoices are still held"


def test_somebody_never_seen_can_be_forgotten_in_advance(forgotten: Scene) -> None:
    """The certificate says that nothing was held, and the id is worth nothing from then on."""
    stranger = Person()
    forgotten.certify(stranger)
    certificate = forgotten.certificate(stranger)
    assert {owner["outcome"] for owner in certificate["owners"]} == {"nothing-held"}
    assert forgotten.shop.send([stranger.places(forgotten.carrier.name)]) == [410]
