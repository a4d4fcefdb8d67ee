"""Everything that should not be sent: what its sender sees, that no value comes back, that nothing else is harmed."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest

from services.gateway.submission import BODY_BYTES, EVENT_BYTES, MOST_EVENTS
from services.kernel.telemetry import log, metrics
from tests.unit.gateway_room import BASKET, CANARY, INVOICE, RECIPIENT, TOKEN, Room, event_of, placed

Case = tuple[Any, int, str, str]


def without(event: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the event without one field."""
    copy = json.loads(json.dumps(event))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return copy


def raw(event: dict[str, Any] | str, old: str, new: str) -> bytes:
    """Return the event's JSON with one piece of text replaced: what no serialiser would write."""
    text = event if isinstance(event, str) else json.dumps(event)
    assert old in text
    return text.replace(old, new, 1).encode("utf-8", "surrogatepass")


def raw_event(old: str, new: str) -> str:
    """Return a good event's JSON with a piece of it replaced."""
    return raw(placed(), old, new).decode()


def basket(**changes: Any) -> dict[str, Any]:
    return placed(basket=BASKET | changes)


def ship_to(**changes: Any) -> dict[str, Any]:
    return placed(ship_to=RECIPIENT | changes)


def nested(depth: int) -> bytes:
    """Return an event whose JSON is this deep."""
    return raw(placed(carrier="X"), '"X"', "[" * (depth - 2) + "1" + "]" * (depth - 2))


def large() -> dict[str, Any]:
    line = {"sku": CANARY, "name": "n" * 190, "quantity": 1, "unit_price_minor": 0}
    return placed(basket=BASKET | {"lines": [line] * 1_200, "total_minor": 400})


NUMBER = '"total_minor": 1930'
BAD: dict[str, Case] = {
    # What is not JSON, or JSON that two readers could read differently.
    "nothing": (b"", 400, "not-json", ""),
    "half": (json.dumps(placed()).encode()[:-9], 400, "not-json", ""),
    "text": (f"Dear shop, {CANARY}".encode(), 400, "not-json", ""),
    "NaN": (raw(placed(), NUMBER, '"total_minor": NaN'), 400, "number-not-finite", ""),
    "infinity": (raw(placed(), NUMBER, '"total_minor": -Infinity'), 400, "number-not-finite", ""),
    "1e999": (raw(placed(), NUMBER, '"total_minor": 1e999'), 400, "number-out-of-range", ""),
    "5,000 digits": (raw(placed(), NUMBER, f'"total_minor": {"7" * 5_000}'), 400, "number-out-of-range", ""),
    "beyond 64 bits": (raw(placed(), NUMBER, f'"total_minor": {2**64}'), 400, "number-out-of-range", ""),
    "NUL": (raw(placed(), CANARY, f"{CANARY}\\u0000"), 400, "nul", ""),
    "raw NUL": (raw(placed(), CANARY, f"{CANARY}\0"), 400, "control-character", ""),
    "lone surrogate": (raw(placed(), CANARY, f"{CANARY}\\ud800"), 400, "lone-surrogate", ""),
    "surrogate bytes": (raw(placed(), CANARY, f"{CANARY}\ud800"), 400, "not-utf-8", ""),
    "Latin-1": (raw(placed(), CANARY, CANARY).replace(b"N1 9GU", b"N1 9G\xfc"), 400, "not-utf-8", ""),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(placed()).encode(), 400, "byte-order-mark", ""),
    "UTF-16": (json.dumps(placed()).encode("utf-16"), 400, "not-utf-8", ""),
    "UTF-16 without mark": (json.dumps(placed()).encode("utf-16-le"), 400, "not-utf-8", ""),
    "key twice": (raw(placed(), '"carrier"', f'"carrier": "{CANARY}", "carrier"'), 400, "duplicate-key", ""),
    "key twice, spaced": (raw(placed(), '"carrier"', '"carrier" : "x", "carrier"'), 400, "duplicate-key", ""),
    "key twice, a colon for the lost one": (
        raw(raw_event(CANARY, f"{CANARY}\\u003a"), '"carrier"', '"carrier": "x", "carrier"'),
        400, "duplicate-key", "",
    ),
    "key twice in the second of two": (
        b"[" + json.dumps(placed()).encode() + b"," + raw(placed(), '"order"', '"order": "", "order"') + b"]",
        400, "duplicate-key", "",
    ),
    "depth 33": (nested(33), 400, "too-deep", ""),
    "depth 5,000": (nested(5_000), 400, "too-deep", ""),
    # What is JSON, but no event.
    "number": (b"7", 422, "not-an-object", ""),
    "no events": ([], 422, "no-events", ""),
    "no type": (without(placed(), "type"), 422, "missing", "type"),
    "unknown type": (placed() | {"type": CANARY}, 422, "type-unknown", "type"),
    "type of no text": (placed() | {"type": [CANARY]}, 422, "type-unknown", "type"),
    "another worker's type": (placed() | {"type": "lethe.erasure.requested.v1"}, 422, "type-unknown", "type"),
    "unknown version": (placed() | {"type": "lethe.order.placed.v9"}, 422, "version-unknown", "type"),
    # What breaks the contract of its type.
    "no id": (without(placed(), "id"), 422, "missing", "id"),
    "id of no UUID": (placed() | {"id": CANARY}, 422, "string-pattern-mismatch", "id"),
    "subject from an address": (placed() | {"subject": CANARY}, 422, "string-pattern-mismatch", "subject"),
    "upper-case subject": (placed("A" * 32), 422, "string-pattern-mismatch", "subject"),
    "missing field": (without(placed(), "data", "ship_to"), 422, "missing", "data.ship_to"),
    "missing inner field": (without(placed(), "data", "basket", "number"), 422, "missing", "data.basket.number"),
    "extra attribute": (placed() | {CANARY: 1}, 422, "extra-forbidden", "?"),
    "extra field": (placed(**{CANARY: CANARY}), 422, "extra-forbidden", "data.?"),
    "extra inner field": (ship_to(**{CANARY: CANARY}), 422, "extra-forbidden", "data.ship_to.?"),
    "text for a number": (basket(total_minor="1930"), 422, "int-type", "data.basket.total_minor"),
    "fraction": (basket(total_minor=19.3), 422, "int-type", "data.basket.total_minor"),
    "truth for a number": (basket(total_minor=True), 422, "int-type", "data.basket.total_minor"),
    "object for text": (ship_to(name={"first": CANARY}), 422, "string-type", "data.ship_to.name"),
    "text for a list": (basket(lines=CANARY), 422, "tuple-type", "data.basket.lines"),
    "null": (placed(basket=None), 422, "model-type", "data.basket"),
    "sealed by the sender": (placed(basket="eyJ.a.b.c.d"), 422, "model-type", "data.basket"),
    "negative money": (basket(shipping_minor=-1), 422, "greater-than-equal", "data.basket.shipping_minor"),
    "overflowing money": (basket(total_minor=2**53), 422, "less-than", "data.basket.total_minor"),
    "wrong sum": (basket(total_minor=1931), 422, "total-wrong", "data.basket"),
    "wrong exponent": (basket(currency="JPY"), 422, "exponent-wrong", "data.basket"),
    "unknown currency": (basket(currency="XXX"), 422, "currency-unknown", "data.basket"),
    "address without a post code": (ship_to(postal_code=None), 422, "postal-code-missing", "data.ship_to"),
    "unknown country": (ship_to(country="XX"), 422, "country-unknown", "data.ship_to"),
    "phone with words": (ship_to(phone=CANARY), 422, "string-pattern-mismatch", "data.ship_to.phone"),
    "control character": (ship_to(name=f"{CANARY}\x07"), 422, "string-pattern-mismatch", "data.ship_to.name"),
    "empty name": (ship_to(name=""), 422, "string-pattern-mismatch", "data.ship_to.name"),
    "long name": (ship_to(name=CANARY * 20), 422, "string-too-long", "data.ship_to.name"),
    "time without zone": (placed() | {"time": "2026-11-23T10:00:00"}, 422, "timezone-aware", "time"),
    "time of no calendar": (placed() | {"time": CANARY}, 422, "datetime-parsing", "time"),
    "time before time": (placed() | {"time": "0001-01-01T00:00:00+14:00"}, 422, "time-out-of-range", "time"),
    "reason in free text": (
        event_of("cancelled", "0" * 32, {"order": "0" * 32, "reason": CANARY}), 422, "enum", "data.reason"
    ),
    "invoice without a buyer": (
        event_of("paid", "0" * 32, {"order": "0" * 32, "invoice": INVOICE | {"buyer": ""}}),
        422, "string-pattern-mismatch", "data.invoice.buyer",
    ),
    # What is too much.
    "event over 256 KiB": (large(), 413, "event-too-large", ""),
    "body over 8 MiB": (b" " * (BODY_BYTES + 1), 413, "body-too-large", ""),
    "too many events": ([1] * (MOST_EVENTS + 1), 413, "too-many-events", ""),
}  # fmt: skip


@pytest.fixture(autouse=True)
def logging() -> Iterator[None]:
    """Log as the process does."""
    log.configure("gateway-1")
    yield


def everything_said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return logs and metrics."""
    captured = capsys.readouterr()
    return captured.out + captured.err + generate_latest(metrics.REGISTRY).decode()


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_by_name_without_its_value(name: str, capsys) -> None:
    """C4, T1: a status, a code and a declared field; no value in the answer, the logs or the metrics."""
    body, status, code, field = BAD[name]
    room = Room()
    answer = await room.take(body)
    assert (answer.status_code, answer.json()) == (
        status,
        {"code": code} | ({"field": field} if field else {}),
    )
    assert CANARY not in answer.text + str(answer.headers) + everything_said(capsys)
    assert room.records() == []
    assert room.vault.log == [], "no key is minted for what is refused"


@pytest.mark.parametrize("name", [name for name, case in BAD.items() if isinstance(case[0], dict)])
async def test_a_bad_event_harms_nothing_in_the_same_array(name: str) -> None:
    bad, status, code, _ = BAD[name]
    room = Room()
    answer = await room.take([placed(), bad, placed()])
    assert answer.status_code == 207
    assert [each["status"] for each in answer.json()["results"]] == [202, status, 202]
    assert answer.json()["results"][1]["code"] == code
    assert len(room.records()) == 2


async def test_depth_32_is_not_too_deep() -> None:
    assert (await Room().take(nested(32))).json()["code"] == "string-type"


async def test_white_space_does_not_make_an_event_too_large() -> None:
    body = json.dumps(placed()).encode() + b" " * EVENT_BYTES
    assert (await Room().take(body)).status_code == 202


async def test_an_event_as_large_as_may_be_is_sealed() -> None:
    lines = [{"sku": "s", "name": "n" * 200, "quantity": 1, "unit_price_minor": 0}] * 990
    room = Room()
    event = placed(basket=BASKET | {"lines": lines, "total_minor": 400})
    assert EVENT_BYTES * 0.9 < len(json.dumps(event, separators=(",", ":"))) <= EVENT_BYTES
    assert (await room.take(event)).status_code == 202
    assert len(room.records()[0].value or b"") < 1024 * 1024


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN],
)
async def test_a_wrong_token_is_refused_before_the_body_is_read(authorization: str, capsys) -> None:
    room = Room()
    answer = await room.take(f"not json {CANARY}".encode(), headers={"authorization": authorization})
    assert (answer.status_code, answer.json()) == (401, {"code": "token-wrong"})
    assert answer.headers["www-authenticate"] == "Bearer"
    said = everything_said(capsys)
    assert TOKEN[:-1] not in answer.text + said
    assert room.records() == []


async def test_a_revoked_token_and_an_unknown_one_get_the_same_answer() -> None:
    room = Room()
    room.desk.revoke("bookshop")
    revoked = await room.take(placed())
    unknown = await room.take(placed(), token="never-issued")
    assert (revoked.status_code, revoked.content) == (401, unknown.content)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "text/plain"}, "content-type"),
        ({"content-type": "application/json; charset=utf-16"}, "content-type"),
        ({"content-type": "application/cloudevents+json"}, "content-type"),
        ({"content-encoding": "gzip"}, "content-encoding"),
    ],
)
async def test_another_form_than_plain_json_is_refused(headers: dict[str, str], code: str) -> None:
    answer = await Room().take(placed(), headers=headers)
    assert (answer.status_code, answer.json()) == (415, {"code": code})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/{CANARY}", 404, "not-found"),
        ("GET", "/v1/events", 405, "method-not-allowed"),
        ("DELETE", "/v1/erasures", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there_says_so(method: str, path: str, status: int, code: str, capsys) -> None:
    answer = await Room().http.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"code": code})
    assert CANARY not in answer.text + everything_said(capsys)


async def test_a_fault_says_nothing_of_what_it_was_handling(capsys, monkeypatch) -> None:
    """A bug anywhere behind the door: its message could quote the customer."""

    def fault(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("services.gateway.intake.seal", fault)
    room = Room()
    answer = await room.take(placed())
    assert (answer.status_code, answer.json()) == (500, {"code": "internal"})
    said = everything_said(capsys)
    assert "request failed" in said
    assert CANARY not in said


async def test_a_large_array_lets_others_have_their_turn() -> None:
    room = Room()
    ended: list[str] = []

    async def take(name: str, body: Any) -> None:
        assert (await room.take(body)).status_code == 202
        ended.append(name)

    await asyncio.gather(take("large", [placed() for _ in range(1_000)]), take("small", placed()))
    assert ended == ["small", "large"]
