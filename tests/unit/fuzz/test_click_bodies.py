"""Any body at the door for clicks: a status and a code, never a value, never a fault, never a stall (C3, C4)."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.strict_json import parse
from services.gateway.clicks.adapters import snowplow
from services.gateway.clicks.cells import cells_of
from services.gateway.clicks.collect import ADAPTERS
from services.gateway.clicks.head import BODY_BYTES
from services.gateway.clicks.reading import MOST_TEXT
from services.gateway.clicks.vocabulary import Drop
from services.gateway.refusals import STATUS
from tests.unit.clicks_door import BROWSER, ORIGIN, SHOP, SITE, ClickRoom
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, NASTY, corpus, damaged, nothing_is_told
from tests.unit.fuzz.test_gateway_calls import CODE, FIELD

PATHS = [path for path in ADAPTERS if len(path) > len("/v1/x")]
STATUSES = {202, 204, 400, 422, *STATUS.values()} - {500, 503}
LONGEST_SECONDS = 2.0
"""No body holds up anybody else for longer, on a busy machine either."""
BODIES = [
    json.dumps(body).encode()
    for body in (
        {
            "page_location": f"/p/1?gclid={CANARY}", "page_referrer": "/", "engagement_time_msec": 10_000,
            "events": [
                {"name": "view_item", "params": {"items": [{"item_id": "A", "item_category": "c"}]}},
                {"name": "search", "params": {"search_term": "lamp"}},
                {"name": "purchase", "params": {"transaction_id": CANARY}},
            ],
        },
        [{"event": "add_to_cart", "userId": CANARY, "ecommerce": {"items": [{"item_id": "A"}]}}],
        {
            "batch": [
                {"type": "page", "anonymousId": CANARY, "context": {"page": {"url": f"{ORIGIN}/"}, "ip": CANARY}},
                {"type": "track", "event": "Product Viewed", "properties": {"sku": "A", "email": CANARY}},
                {"type": "identify", "traits": {"email": CANARY}},
            ],
            "writeKey": SHOP,
        },
        {"type": "track", "event": "Products Searched", "properties": {"query": "lamp"}},
        {
            "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
            "data": [
                {"e": "pv", "url": f"{ORIGIN}/", "duid": CANARY},
                {"e": "ue", "ue_pr": json.dumps({"data": {"schema": snowplow._ECOMMERCE, "data": {"type": CANARY}}})},
            ],
        },
        {"name": "product_viewed", "clientId": CANARY, "data": {"productVariant": {"sku": "A"}}},
        {"name": "checkout_completed", "data": {"checkout": {"email": CANARY}}},
    )
]  # fmt: skip
HEADERS = {
    b"origin": [ORIGIN.encode(), b"null", CANARY.encode(), b"\xff"],
    b"user-agent": [BROWSER.encode(), b"curl/8", CANARY.encode(), b"\xff" * 2_000],
    b"content-type": [b"text/plain", b"application/json", b"text/plain; charset=utf-16"],
    b"content-length": [b"0", b"9" * 30, b"-1"],
    b"sec-gpc": [b"1", b"0", b"1, 1"],
    b"dnt": [b"1", b"0"],
    b"x-forwarded-for": [b"203.0.113.9", b"," * 5_000, CANARY.encode()],
    b"authorization": [b"Basic " + CANARY.encode(), b"Basic Ym9va3Nob3A6", b"Bearer x"],
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def room(runner: asyncio.Runner) -> ClickRoom:
    return ClickRoom()


async def call(
    room: ClickRoom, path: str, query: bytes, headers: list[tuple[bytes, bytes]], *parts: bytes
) -> tuple[int, bytes, str]:
    """Call the application as a server does; return status, answer and headers."""
    told: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": headers,
        "server": ("gateway", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    await room.app(scope, receive, send)
    return told[0]["status"], b"".join(each.get("body", b"") for each in told), repr(told[0].get("headers"))


def check(
    runner: asyncio.Runner,
    room: ClickRoom,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    *parts: bytes,
) -> None:
    room.visits.clear()
    began = time.monotonic()
    with nothing_is_told():
        status, answer, head = runner.run(call(room, path, query, headers, *parts))
    assert time.monotonic() - began < LONGEST_SECONDS
    assert status in STATUSES, answer
    assert CANARY.encode() not in answer and CANARY not in head
    assert "set-cookie" not in head
    if status == 204:
        assert answer == b"" and not room.visits
        return
    told = json.loads(answer)
    if status == 202:
        parse(b"".join(parts), BODY_BYTES)  # What is taken has one meaning.
        assert set(told) <= {"accepted", "dropped"}
        assert set(told.get("dropped", {})) <= set(Drop)
        assert told["accepted"] == bool(room.visits)
    else:
        assert not room.visits
        assert CODE.fullmatch(told["code"]) and FIELD.fullmatch(told.get("field", "?"))
    for page in room.pages:
        texts = [page.location, page.referrer, page.item, page.category, page.term]
        texts += [text for each in page.interactions for text in (each.item, each.category)]
        assert all(type(text) is str and len(text) <= MOST_TEXT for text in texts)
        assert all(each.name in SITE.interactions for each in page.interactions)
        cells_of(page, SITE)


USUAL = [(b"origin", ORIGIN.encode()), (b"user-agent", BROWSER.encode()), (b"content-type", b"text/plain")]


@pytest.mark.parametrize(("name", "body"), corpus("clicks"))
def test_what_was_found_before_is_still_decided(
    runner: asyncio.Runner, room: ClickRoom, name: str, body: bytes
) -> None:
    for path in PATHS:
        check(runner, room, path, b"shop=bookshop", USUAL, body)


@given(path=st.sampled_from(PATHS), body=damaged([*BODIES, *dict(corpus("clicks")).values()]))
@examples(300)
def test_any_body_is_decided(runner: asyncio.Runner, room: ClickRoom, path: str, body: bytes) -> None:
    check(runner, room, path, b"shop=bookshop", USUAL, body)


@given(
    said=st.lists(
        st.sampled_from(sorted(HEADERS)).flatmap(
            lambda name: st.tuples(st.just(name), damaged(HEADERS[name]) | st.sampled_from(HEADERS[name]))
        ),
        max_size=7,
    ),
    parts=st.lists(st.sampled_from([BODIES[0], b"", b"[", BODIES[2]]), max_size=3),
    path=st.sampled_from(PATHS),
    query=st.sampled_from(
        [b"shop=bookshop", b"", b"shop=", b"shop=%ff", b"&" * 500, b"shop=" + CANARY.encode()]
    )
    | st.sampled_from(NASTY),
)
@examples(200)
def test_any_headers_are_decided(
    runner: asyncio.Runner,
    room: ClickRoom,
    said: list[tuple[bytes, bytes]],
    parts: list[bytes],
    path: str,
    query: bytes,
) -> None:
    check(runner, room, path, query, [*USUAL, *said], *parts)
