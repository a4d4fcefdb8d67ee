"""What should never have been sent: named, counted, kept by its coordinates, quoted nowhere, and nobody else harmed."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from deploy.local.stack import Stack
from schemas.topics import LANES
from services.kernel.broker.partition import partition_of
from services.scan import scan
from tests.fixtures import evidence
from tests.fixtures.carrier import KEEP, REPORTED, Carrier, headers_of
from tests.fixtures.counted import counted
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe, redrive
from tests.fixtures.platform import Platform
from tests.fixtures.shop import RECIPIENT, Shop, cancelled, event, new_id, paid, placed

MARK = f"canary-{secrets.token_hex(12)}"
"""Stands in everything that is written past the gateway."""
Record = tuple[bytes | None, bytes, int, list[tuple[str, bytes]]]
"""Value, key, partition, headers."""


@dataclass
class Scene:
    """A shop, two carriers, and a producer that holds the gateway's password and does what it likes."""

    stack: Stack
    shop: Shop
    carriers: list[Carrier]
    buggy: Producer
    subject: str = field(default_factory=new_id)
    order: str = field(default_factory=new_id)

    @property
    def lane(self) -> int:
        return partition_of(self.subject.encode(), LANES)

    def stage(self, order: str) -> str | None:
        found = evidence.of_worker(
            self.stack, "orders", "SELECT stage FROM {schema}.orders WHERE order_id = $1", order
        )
        return found[0]["stage"] if found else None

    def letter(self, worker: str, position: tuple[str, int, int]) -> Any:
        """Wait for the dead letter of a record and return it."""
        sql = "SELECT * FROM {schema}.dead_letter WHERE (topic, partition, record_offset) = ($1, $2, $3)"
        return await_("a dead letter", lambda: evidence.of_worker(self.stack, worker, sql, *position))[0]

    def write(self, record: Record, topic: str = "orders") -> tuple[str, int, int]:
        """Write whatever bytes; return where they lie."""
        value, key, partition, headers = record
        written: list[tuple[str, int, int]] = []
        self.buggy.produce(
            topic, value, key, partition, headers=headers,
            on_delivery=lambda error, each: written.append((each.topic(), each.partition(), each.offset())),
        )  # fmt: skip
        assert self.buggy.flush(20) == 0
        return written[0]

    def count(self, worker: str, topic: str, code: str) -> float:
        """Return how many dead letters a worker has counted of a topic under a code."""
        page = httpx.get(self.stack.health_url(f"{worker}-1") + "/metrics").text
        return counted(page, "lethe_dead_letters_total", code=code, topic=topic)


@pytest.fixture(scope="module")
def scene(whole_platform: Platform, folder: Path) -> Iterator[Scene]:
    stack = whole_platform.stack
    carriers = [Carrier.sign(stack, folder, reports=False).start() for _ in range(2)]
    buggy = Producer({**stack.kafka_settings("gateway"), "log_level": 0})
    found = Scene(stack, Shop.open(stack, folder), carriers, buggy)
    found.shop.say(placed(found.subject, found.order, carriers[0].name))
    found.shop.say(paid(found.subject, found.order))
    await_("a label", lambda: len(carriers[0].labels) == 1)
    yield found
    for carrier in carriers:
        carrier.stop()


def good(scene: Scene) -> Record:
    """Return the record of the order as the gateway wrote it."""
    entry = next(
        each
        for each in evidence.read(scene.stack, ["orders"])
        if (each.key, each.partition) == (scene.subject, scene.lane)
    )
    headers = [(name, text.encode()) for name, text in entry.headers.items()]
    return entry.value, entry.key.encode(), entry.partition, headers


def with_value(change: Callable[[dict[str, Any]], object]) -> Callable[[Record], Record]:
    def changed(record: Record) -> Record:
        content = json.loads(record[0] or b"")
        change(content)
        return json.dumps(content).encode(), *record[1:]

    return changed


def with_bytes(value: bytes | None) -> Callable[[Record], Record]:
    return lambda record: (value, *record[1:])


def with_header(name: str, text: str | None) -> Callable[[Record], Record]:
    def changed(record: Record) -> Record:
        others = [each for each in record[3] if each[0] != name]
        return *record[:3], others if text is None else [*others, (name, text.encode())]

    return changed


# What a buggy producer writes, and how the record ends: code, and declared field path.
WRITTEN: dict[str, tuple[Callable[[Record], Record], str, str]] = {
    "bytes": (with_bytes(b"\x00\xff" + MARK.encode()), "json-invalid", ""),
    "plain text": (with_bytes(MARK.encode()), "json-invalid", ""),
    "UTF-16": (with_bytes(f'{{"order": "{MARK}"}}'.encode("utf-16")), "json-invalid", ""),
    "a byte order mark": (with_bytes(b"\xef\xbb\xbf{}" + MARK.encode()), "json-invalid", ""),
    "a lone surrogate": (with_bytes(b'{"order": "' + MARK.encode() + b'\\ud800"}'), "json-invalid", ""),
    "no object": (with_bytes(f'["{MARK}"]'.encode()), "model-type", ""),
    "no value": (with_bytes(None), "value-missing", ""),
    "plaintext in place of a sealed value": (
        with_value(lambda each: each.update(ship_to={**RECIPIENT, "name": MARK})),
        "string-type", "ship_to",
    ),
    "text in place of a sealed value": (
        with_value(lambda each: each.update(basket=MARK)), "string-pattern-mismatch", "basket",
    ),
    "a NUL": (with_value(lambda each: each.update(carrier=f"{MARK}\0")), "string-pattern-mismatch", "carrier"),
    "an unclassified field": (with_value(lambda each: each.update(nickname=MARK)), "extra-forbidden", "?"),
    "a missing field": (with_value(lambda each: each.pop("basket")), "missing", "basket"),
    "an unknown type": (with_header("ce_type", "lethe.order.forgotten.v1"), "type-unknown", ""),
    "an unknown version": (with_header("ce_type", "lethe.order.placed.v2"), "type-unknown", ""),
    "a type of another topic": (with_header("ce_type", "lethe.parcel.tracked.v1"), "type-unknown", ""),
    "structured mode": (with_header("content-type", "application/cloudevents+json"), "structured-mode", ""),
    "no content type": (with_header("content-type", None), "content-type", ""),
    "no id": (with_header("ce_id", None), "attribute-missing", ""),
    "another specversion": (with_header("ce_specversion", "0.3"), "specversion", ""),
    "another person's key": (lambda record: (record[0], new_id().encode(), *record[2:]), "subject-not-key", ""),
    "no subject": (with_header("ce_subject", None), "subject-not-key", ""),
    "the wrong lane": (lambda record: (*record[:2], (record[2] + 1) % LANES, record[3]), "lane-wrong", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_buggy_producer_writes_is_set_aside_by_its_coordinates(scene: Scene, name: str) -> None:
    """Code, field and length are kept, the bytes are not; the next good record is handled as ever (C4, T1)."""
    change, code, path = WRITTEN[name]
    record = change(good(scene))
    counted = scene.count("orders", "orders", code)
    letter = scene.letter("orders", scene.write(record))
    assert (letter["code"], letter["field_path"]) == (code, path)
    assert (letter["value"], letter["length"], letter["blocks"]) == (None, len(record[0] or b""), False)
    await_("counted", lambda: scene.count("orders", "orders", code) == counted + 1, 10)
    order = new_id()
    scene.shop.say(placed(scene.subject, order, scene.carriers[0].name))
    await_("the next order", lambda: scene.stage(order) == "placed")


def test_no_value_of_a_broken_record_is_anywhere_but_where_it_was_written(scene: Scene) -> None:
    """Not in a log, a table, a metric, another topic: the topic itself has the bytes until its retention ends (T1)."""
    scene.letter("orders", scene.write(with_bytes(MARK.encode())(good(scene))))
    finds = scan(scene.stack, [MARK]).finds
    assert finds and {find.kind for find in finds} == {"kafka-record"}
    assert {find.where.split("/")[2].rpartition("-")[0] for find in finds} == {"orders"}


def test_a_value_moved_to_another_order_reaches_nobody(scene: Scene) -> None:
    """An address copied into another order's event is sealed for another place: no label leaves, and it is counted."""
    value, key, partition, headers = good(scene)
    order = new_id()
    moved = {**json.loads(value or b""), "order": order, "carrier": scene.carriers[1].name}
    scene.write((json.dumps(moved).encode(), key, partition, headers))
    await_("placed", lambda: scene.stage(order) == "placed")
    before = len(evidence.read(scene.stack, [scene.carriers[1].shipments]))
    scene.shop.say(paid(scene.subject, order))
    page = scene.stack.health_url("carriers-1") + "/metrics"
    why = {"code": "unsealing-failed", "partner": scene.carriers[1].name}
    await_("dropped", lambda: counted(httpx.get(page).text, "lethe_partner_dropped_total", **why) == 1)
    assert len(evidence.read(scene.stack, [scene.carriers[1].shipments])) == before
    scene.shop.say(cancelled(scene.subject, order))


def test_a_payment_that_comes_first_waits_until_it_is_redriven(scene: Scene) -> None:
    """An event for an unknown order is a dead letter that keeps its sealed value; redriving it does what it says."""
    order = new_id()
    scene.shop.say(paid(scene.subject, order))
    sql = "SELECT * FROM {schema}.dead_letter WHERE scope = $1"
    (letter,) = await_("set aside", lambda: evidence.of_worker(scene.stack, "orders", sql, order))
    assert (letter["code"], letter["blocks"], letter["value"] is None) == ("order-unknown", False, False)
    listed = lethe(
        scene.stack.state, "dead-letters", "list", "--worker", "orders", "--limit", "10000", expect=1
    )["dead_letters"]
    assert {"topic": "orders", "code": "order-unknown", "offset": letter["record_offset"]}.items() <= next(
        each for each in listed if each["id"] == letter["id"]
    ).items()

    scene.shop.say(placed(scene.subject, order, scene.carriers[0].name))
    await_("placed", lambda: scene.stage(order) == "placed")
    ended = evidence.endings(scene.stack, "orders")["orders"]
    redrive(scene.stack.state, "orders", "order-unknown")
    await_("paid", lambda: scene.stage(order) == "paid")
    assert evidence.of_worker(scene.stack, "orders", sql, order) == []
    assert evidence.endings(scene.stack, "orders")["orders"] == ended, "a redriven record is counted apart"


def test_what_the_rules_refuse_harms_nothing_else(scene: Scene) -> None:
    """Illegal transition, another person's order, the same again: two letters, one repeat, the order as it was."""
    order, thief = new_id(), new_id()
    scene.shop.say(placed(scene.subject, order, scene.carriers[0].name))
    taken_back = cancelled(scene.subject, order)
    scene.shop.say(taken_back, taken_back, paid(scene.subject, order))
    scene.shop.say(cancelled(thief, order))
    sql = "SELECT code FROM {schema}.dead_letter WHERE scope = $1 ORDER BY code"
    codes = await_(
        "two letters",
        lambda: len(found := evidence.of_worker(scene.stack, "orders", sql, order)) == 2 and found,
    )
    assert [row["code"] for row in codes] == ["order-foreign", "order-transition"]
    assert scene.stage(order) == "cancelled"


REPORTS: dict[str, tuple[dict[str, str], str]] = {
    "a reference nobody has": ({"reference": new_id(), "status": "delivered"}, "reference-unknown"),
    "a status nobody knows": ({"reference": "own", "status": f"{MARK}"}, "enum"),
    "a word too many": ({"reference": "own", "status": "delivered", "signed": MARK}, "extra-forbidden"),
    "another partner's parcel": ({"reference": "own", "status": "delivered"}, "reference-foreign"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_what_a_carrier_should_not_say_changes_nothing(scene: Scene, name: str) -> None:
    """Who reports is who may write that topic, whatever the record says of itself (D2)."""
    owner, other = scene.carriers
    speaker = other if name == "another partner's parcel" else owner
    (reference,) = list(owner.labels)[:1]
    said, code = REPORTS[name]
    said = {**said, "reference": reference if said["reference"] == "own" else said["reference"]}
    speaker.write(json.dumps(said).encode(), headers_of(REPORTED, owner.name), reference.encode())
    sql = "SELECT * FROM {schema}.dead_letter WHERE topic = $1 AND code = $2"
    await_("set aside", lambda: evidence.of_worker(scene.stack, "carriers", sql, speaker.updates, code))
    assert scene.stage(scene.order) == "paid"


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_carrier_may_compress_as_it_likes(scene: Scene, compression: str) -> None:
    """A codec that a worker cannot read would stop a partner's topic for good."""
    owner = scene.carriers[0]
    order = new_id()
    scene.shop.say(placed(scene.subject, order, owner.name, ship_to={**RECIPIENT, "delivery_note": KEEP}))
    scene.shop.say(paid(scene.subject, order))
    sql = "SELECT reference FROM {schema}.shipment WHERE order_id = $1"
    ((reference,),) = await_("offered", lambda: evidence.of_worker(scene.stack, "carriers", sql, order))
    await_("opened", lambda: reference in owner.labels)
    producer = Producer({**owner.login, "compression.type": compression, "linger.ms": 50})
    for _ in range(20):  # What compressing does not make smaller is sent as it is.
        body = json.dumps({"reference": reference, "status": "delivered"}).encode()
        producer.produce(owner.updates, body, headers=headers_of(REPORTED, owner.name))
    assert producer.flush(20) == 0
    await_("closed", lambda: scene.stage(order) == "closed")


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], int]] = {
    "an unknown type": (lambda each: each.update(type="lethe.order.lost.v1"), 422),
    "an unknown version": (lambda each: each.update(type="lethe.order.placed.v9"), 422),
    "a missing field": (lambda each: each["data"].pop("basket"), 422),
    "an unclassified field": (lambda each: each["data"].update(nickname="x"), 422),
    "a wrong type": (lambda each: each["data"].update(order=5), 422),
    "negative money": (lambda each: each["data"]["basket"].update(shipping_minor=-1), 422),
    "overflowing money": (lambda each: each["data"]["basket"].update(total_minor=2**53), 422),
    "a wrong exponent": (lambda each: each["data"]["basket"].update(exponent=3), 422),
    "an address without its city": (lambda each: each["data"]["ship_to"].pop("city"), 422),
    "a NUL": (lambda each: each["data"]["ship_to"].update(name="a\0b"), 400),
    "an event too large": (lambda each: each["data"]["ship_to"].update(name="x" * 300_000), 413),
}
MALFORMED: dict[str, tuple[bytes, int]] = {
    "not a number": (b'{"id": NaN}', 400),
    "infinite": (b'{"id": 1e999}', 400),
    "5,000 digits": (b'{"id": ' + b"9" * 5_000 + b"}", 400),
    "a lone surrogate": (b'{"id": "\\ud800"}', 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "UTF-16": ("{}".encode("utf-16"), 400),
    "a key twice": (b'{"id": 1, "id": 2}', 400),
    "33 deep": (b"[" * 33 + b"]" * 33, 400),
    "a body too large": (b'["' + b"x" * (8 * 1024 * 1024) + b'"]', 413),
}


def test_what_the_gateway_refuses_never_reaches_kafka(scene: Scene) -> None:
    """Each with its status; what stands beside it in an array is taken (C4)."""
    since = evidence.marks(scene.stack)
    for name, (change, status) in REFUSED.items():
        bad = json.loads(json.dumps(placed(new_id(), new_id(), scene.carriers[0].name)))
        change(bad)
        assert scene.shop.post("/v1/events", bad).status_code == status, name
    for name, (body, status) in MALFORMED.items():
        assert scene.shop.post("/v1/events", content=body).status_code == status, name
    beside = placed(new_id(), new_id(), scene.carriers[0].name)
    assert scene.shop.send([event("lost", new_id(), {}), beside]) == [422, 202]
    (only,) = evidence.read(scene.stack, ["orders"], since)
    assert only.id == beside["id"]


def test_a_partner_key_that_is_none_is_refused(scene: Scene, folder: Path) -> None:
    """A point that is not on its curve, or somebody's private half: nothing is ever sealed for it."""
    carrier = scene.carriers[0]
    public = carrier.key.as_dict(private=False)
    for name, jwk in (
        ("off-curve", {**public, "y": public["x"]}),
        ("private", carrier.key.as_dict(private=True)),
    ):
        path = folder / f"{name}.jwk"
        path.write_text(json.dumps(jwk))
        agreement = folder / f"{carrier.name}.json"
        lethe(
            scene.stack.state, "partners", "add", f"bad-{name}", "--key", str(path), "--agreement",
            str(agreement), expect=3,
        )  # fmt: skip
