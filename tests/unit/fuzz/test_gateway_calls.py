"""Any call of the gateway, through the real application: a status and a code, never a value, never a fault (C4, T1)."""

import asyncio
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.strict_json import parse
from services.gateway.refusals import STATUS
from services.gateway.submission import BODY_BYTES, FORMS
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, NASTY, corpus, damaged, nothing_is_told
from tests.unit.gateway_room import INVOICE, TOKEN, Room, cancelled, event_of, placed

SUBJECT, ORDER, REQUEST = "5" * 32, "a" * 32, "d" * 32
PAID = event_of("paid", SUBJECT, {"order": ORDER, "invoice": INVOICE}, time="2026-11-23T10:17:31Z")
EVENTS = [
    json.dumps(body).encode()
    for body in (placed(SUBJECT, ORDER), PAID, cancelled(SUBJECT), [placed(), PAID, CANARY], [])
]
WISHES = [
    json.dumps(body).encode()
    for body in (
        {"subject": "6" * 32},
        {"subject": "6" * 32, "id": REQUEST, "salt": "ab" * 16},
        {"subject": CANARY},
    )
]
HEADERS = {
    b"authorization": [f"Bearer {TOKEN}".encode(), b"Bearer " + CANARY.encode(), b"bearer"],
    b"content-type": [
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/cloudevents+json",
    ],
    b"content-encoding": [b"identity", b"gzip"],
    b"content-length": [b"0", b"12", b"9" * 30, b"-1"],
    b"traceparent": [b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"],
}
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
FIELD = re.compile(r"([a-z_]+|\*|\?)(\.([a-z_]+|\*|\?))*")
STATUSES = {200, 202, 207, 400, 422, *STATUS.values()} - {500, 503}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def room(runner: asyncio.Runner) -> Room:
    return Room()


async def call(
    room: Room, method: str, path: bytes, headers: list[tuple[bytes, bytes]], *parts: bytes
) -> tuple[int, bytes]:
    """Call the application as a server does, also with what no client of ours would send; return status and answer."""
    told: list[dict] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path.decode("utf-8", "replace"), "raw_path": path, "query_string": b"", "root_path": "",
        "headers": headers, "server": ("gateway", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        told.append(message)

    await room.app(scope, receive, send)  # type: ignore[arg-type]
    head = repr(told[0].get("headers"))
    assert CANARY not in head
    return told[0]["status"], b"".join(each.get("body", b"") for each in told)


def check(runner: asyncio.Runner, room: Room, path: bytes, body: bytes, method: str = "POST") -> None:
    usual = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")]
    check_call(runner, room, method, path, usual, body)


def check_call(
    runner: asyncio.Runner,
    room: Room,
    method: str,
    path: bytes,
    headers: list[tuple[bytes, bytes]],
    *parts: bytes,
) -> None:
    before = len(room.records())
    with nothing_is_told():
        status, answer = runner.run(call(room, method, path, headers, *parts))
    assert CANARY.encode() not in answer
    assert status in STATUSES, answer
    told = json.loads(answer)
    for reason in told.get("results", [told]):
        if "code" in reason:
            assert CODE.fullmatch(reason["code"]) and FIELD.fullmatch(reason.get("field", "?"))
    if status in (202, 207) and path == b"/v1/events":
        parse(b"".join(parts), BODY_BYTES)  # What is taken has one meaning, however it was read.
    for record in room.records()[before:]:
        assert CANARY.encode() not in (record.value or b"") + repr(record.headers).encode()
        assert dict(record.headers)["ce_type"].decode() in FORMS


@pytest.mark.parametrize(("name", "body"), corpus("gateway"))
def test_what_was_found_before_is_still_decided(
    runner: asyncio.Runner, room: Room, name: str, body: bytes
) -> None:
    for path in (b"/v1/events", b"/v1/erasures"):
        check(runner, room, path, body)


@given(body=damaged([*EVENTS, *dict(corpus("gateway")).values()]))
@examples(200)
def test_any_body_of_events_is_decided(runner: asyncio.Runner, room: Room, body: bytes) -> None:
    check(runner, room, b"/v1/events", body)


@given(body=damaged([*WISHES, *dict(corpus("gateway")).values()]))
@examples(120)
def test_any_wish_is_decided(runner: asyncio.Runner, room: Room, body: bytes) -> None:
    check(runner, room, b"/v1/erasures", body)


@pytest.mark.parametrize("name", ["", "/certificate"])
@pytest.mark.parametrize(
    "request_id", [b"\0", b"d" * 32 + b"\0", b"d" * 32 + b"\n", b"D" * 32, CANARY.encode(), b"\xff"]
)
def test_what_is_no_request_is_not_found(
    runner: asyncio.Runner, room: Room, request_id: bytes, name: str
) -> None:
    """Also where the database would have refused the very question."""
    path = b"/v1/erasures/" + request_id + name.encode()
    with nothing_is_told():
        headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
        status, answer = runner.run(call(room, "GET", path, headers))
    assert (status, json.loads(answer)) == (404, {"code": "request-unknown"})


@given(
    path=damaged(
        [
            b"/v1/events",
            b"/v1/erasures/" + REQUEST.encode(),
            b"/v1/erasures/Quxolotl/certificate",
            b"/openapi",
        ]
    ),
    method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", CANARY)),
)
@examples(120)
def test_any_path_is_decided(runner: asyncio.Runner, room: Room, path: bytes, method: str) -> None:
    # A server hands over no path with a fragment or a query, and knows no answer to HEAD that has a body.
    with nothing_is_told():
        headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")]
        status, answer = runner.run(call(room, method, path, headers, b"{}"))
    assert CANARY.encode() not in answer
    assert status in STATUSES, (path, method)


@given(
    said=st.lists(
        st.sampled_from(sorted(HEADERS)).flatmap(
            lambda name: st.tuples(st.just(name), damaged(HEADERS[name]) | st.sampled_from(HEADERS[name]))
        ),
        max_size=6,
    ),
    strange=st.lists(
        st.tuples(st.sampled_from([b"x-" + CANARY.encode(), b"cookie"]), st.sampled_from(NASTY)), max_size=1
    ),
    parts=st.lists(st.sampled_from([EVENTS[0], b"", b"[", EVENTS[2]]), max_size=3),
    path=st.sampled_from((b"/v1/events", b"/v1/erasures")),
)
@examples(150)
def test_any_headers_are_decided(
    runner: asyncio.Runner,
    room: Room,
    said: list[tuple[bytes, bytes]],
    strange: list[tuple[bytes, bytes]],
    parts: list[bytes],
    path: bytes,
) -> None:
    check_call(runner, room, "POST", path, [*said, *strange], *parts)
