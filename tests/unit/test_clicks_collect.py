"""The door for clicks: who may send what, what is read of it, and what of it is never read (C3, C4, R4)."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from services.gateway.clicks import bots, collect
from services.gateway.clicks.collect import ADAPTERS, MOST_EVENTS, PAGES_PER_TURN
from services.gateway.clicks.head import BODY_BYTES
from services.gateway.clicks.site import Site
from services.gateway.clicks.vocabulary import Drop
from services.gateway.refusals import Code, Refusal
from services.kernel.http.server import HttpServer
from services.kernel.telemetry import log
from tests.unit.clicks_door import BROWSER, CANARY, ORIGIN, SHOP, SITE, ClickRoom, counted, identity, told
from tests.unit.gateway_room import Room, placed

PAGE = {
    "page_location": "/p/85123A",
    "page_referrer": "/",
    "engagement_time_msec": 30_000,
    "events": [
        {"name": "view_item", "params": {"items": [{"item_id": "85123A", "item_category": "lights"}]}},
        {"name": "add_to_cart", "params": {"items": [{"item_id": "85123A", "item_category": "lights"}]}},
    ],
}


@pytest.fixture
def room() -> ClickRoom:
    return ClickRoom()


async def test_one_message_of_the_snippet_is_one_page(room: ClickRoom) -> None:
    answer = await room.beacon(PAGE)
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    (page,) = room.pages
    assert (page.location, page.referrer, page.visible_seconds) == ("/p/85123A", "/", 30.0)
    assert (page.item, page.category) == ("85123A", "lights")
    assert [(each.name, each.item) for each in page.interactions] == [("add_to_cart", "85123A")]
    ((site, address, agent, _),) = room.visits
    assert (site.storefront, address, agent) == (SHOP, "127.0.0.1", BROWSER)


async def test_it_sets_nothing_and_opens_itself_to_the_shop_alone(room: ClickRoom) -> None:
    """C3: no cookie, nothing to remember anybody by."""
    answer = await room.beacon(PAGE)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers
    assert {"etag", "last-modified"}.isdisjoint(answer.headers), "a validator is an identifier"


@pytest.mark.parametrize(
    "said", [{"sec_gpc": "1"}, {"dnt": "1"}, {"sec_gpc": "0, 1"}, {"sec_gpc": "1", "dnt": "0"}]
)
@pytest.mark.parametrize("path", [path for path in ADAPTERS if len(path) > 5])
async def test_of_somebody_who_refuses_nothing_is_read(
    room: ClickRoom, path: str, said: dict[str, str]
) -> None:
    """R4: the body is not even asked for, whatever it is, and one number says that somebody refused."""
    before = counted(Drop.REFUSED)

    async def body() -> Any:
        raise AssertionError("the body was read")
        yield b""

    headers = {"origin": ORIGIN, "user-agent": BROWSER, "content-type": "text/plain"}
    headers |= {name.replace("_", "-"): value for name, value in said.items()}
    answer = await room.http.post(f"{path}?shop={SHOP}", content=body(), headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert room.visits == []
    assert counted(Drop.REFUSED) == before + 1


@pytest.mark.parametrize("said", [{"sec_gpc": "0"}, {"dnt": "0"}, {"dnt": "unspecified"}, {"sec_gpc": "11"}])
async def test_anything_but_one_is_no_refusal(room: ClickRoom, said: dict[str, str]) -> None:
    assert (await room.beacon(PAGE, **said)).status_code == 202
    assert len(room.pages) == 1


async def test_orders_are_taken_of_those_who_refuse_to_be_counted() -> None:
    """R4: everything else works the same."""
    room = Room()
    answer = await room.take(placed(), headers={"sec-gpc": "1", "dnt": "1"})
    assert answer.status_code == 202
    assert len(room.records()) == 1


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.5.0",
        "",
        "x" * 2_000,
    ],
)
async def test_programs_are_not_counted(room: ClickRoom, agent: str) -> None:
    before = counted(Drop.BOT)
    for _ in range(2):
        assert (await room.beacon(PAGE, user_agent=agent)).status_code == 204
    assert room.visits == []
    assert counted(Drop.BOT) == before + 2


@pytest.mark.parametrize(
    ("shop", "origin", "status", "code"),
    [
        (SHOP, "https://evil.example", 403, "origin-foreign"),
        (SHOP, "https://shop.example.evil.example", 403, "origin-foreign"),
        (SHOP, "http://shop.example", 403, "origin-foreign"),
        (SHOP, "null", 403, "origin-foreign"),
        (SHOP, "", 403, "origin-foreign"),
        ("shoeshop", ORIGIN, 404, "site-unknown"),
        (None, ORIGIN, 404, "site-unknown"),
        (CANARY, ORIGIN, 404, "site-unknown"),
        ("%00", ORIGIN, 404, "site-unknown"),
    ],
)
async def test_only_pages_of_the_shop_may_send(
    room: ClickRoom, shop: str | None, origin: str, status: int, code: str, capsys
) -> None:
    answer = await room.beacon(PAGE, shop=shop, origin=origin)
    assert (answer.status_code, answer.json()) == (status, {"code": code})
    assert "access-control-allow-origin" not in answer.headers
    assert CANARY not in told(answer, capsys)
    assert room.visits == []


async def test_a_shop_whose_pixel_runs_in_a_sandbox_says_so(room: ClickRoom) -> None:
    """Shopify's custom pixels have an origin of nobody's; only a shop that lists it is open to such frames."""
    event = {"name": "product_viewed", "data": {"productVariant": {"sku": "A"}}}
    assert (await room.beacon(event, "/v1/shopify", origin="null")).status_code == 403
    room.desk.put(
        Site.model_validate_json(SITE.model_copy(update={"origins": (ORIGIN, "null")}).model_dump_json())
    )
    room.rebuild()
    answer = await room.beacon(event, "/v1/shopify", origin="null")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, "null")
    assert [page.item for page in room.pages] == ["A"]


async def test_preflight_lets_the_shop_send_json_and_nobody_else(room: ClickRoom) -> None:
    headers = {"origin": ORIGIN, "access-control-request-method": "POST"}
    for path in ADAPTERS:
        answer = await room.http.options(f"{path}?shop={SHOP}", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert answer.headers["access-control-allow-headers"] == "content-type"
        assert answer.headers["vary"] == "origin"
    foreign = await room.http.options(f"/v1/collect?shop={SHOP}", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
    assert (await room.beacon(PAGE, content_type="application/json")).status_code == 202


async def test_identity_is_not_read_and_its_names_are_counted(room: ClickRoom, capsys) -> None:
    """C4: the fields' names are a number; what they hold goes nowhere."""
    fields = (
        "client_id",
        "user_id",
        "userId",
        "anonymousId",
        "traits",
        "gclid",
        "fbclid",
        "email",
        "session_id",
    )
    before = {field: identity(field) for field in fields}
    body = {
        **PAGE,
        "page_location": f"{ORIGIN}/p/1?gclid={CANARY}&x=1&fbclid={CANARY}",
        "client_id": CANARY,
        "user_id": CANARY,
        "events": [
            {"name": "share", "userId": CANARY, "params": {"email": CANARY, "session_id": CANARY}},
            {"event": "share", "anonymousId": CANARY, "traits": {"email": CANARY}},
        ],
    }
    answer = await room.beacon(body)
    assert answer.status_code == 202
    assert {field: identity(field) - before[field] for field in fields} == dict.fromkeys(fields, 1.0)
    (page,) = room.pages
    assert all(CANARY not in repr(each) for each in (page, page.interactions))
    assert [each.name for each in page.interactions] == ["share", "share"]
    assert CANARY not in told(answer, capsys)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("purchase", "order-event"),
        ("refund", "order-event"),
        ("begin_checkout", "checkout-event"),
        ("add_payment_info", "checkout-event"),
        ("login", "contact-event"),
        ("generate_lead", "contact-event"),
    ],
)
async def test_checkout_contact_and_order_events_are_refused_by_name(
    room: ClickRoom, event: str, code: str, capsys
) -> None:
    before = counted(code)
    body = {"event": event, "ecommerce": {"transaction_id": CANARY, "items": [{"item_id": CANARY}]}}
    answer = await room.beacon(body)
    assert (answer.status_code, answer.json()) == (422, {"code": code})
    assert counted(code) == before + 1
    assert room.visits == []
    assert CANARY not in told(answer, capsys)
    mixed = await room.beacon({**PAGE, "events": [*PAGE["events"], {"name": event}]})
    assert (mixed.status_code, mixed.json()) == (202, {"accepted": True, "dropped": {code: 1}})
    assert len(room.pages) == 1


async def test_unknown_events_are_dropped_and_counted(room: ClickRoom, capsys) -> None:
    before = counted(Drop.UNKNOWN)
    answer = await room.beacon([{"event": CANARY}, {"event": "gtm.js"}, {"event": "share"}])
    assert answer.json() == {"accepted": True, "dropped": {"unknown-event": 2}}
    assert counted(Drop.UNKNOWN) == before + 2
    assert CANARY not in told(answer, capsys)


BAD: dict[str, tuple[Any, int, str]] = {
    "nothing": (b"", 400, "not-json"),
    "half": (b'{"events": [', 400, "not-json"),
    "a text": (f'"{CANARY}"'.encode(), 202, ""),
    "null": (b"null", 202, ""),
    "not UTF-8": (b'{"event": "\xff"}', 400, "not-utf-8"),
    "a lone surrogate": (b'{"event": "\\ud800"}', 400, "lone-surrogate"),
    "NUL": (b'{"event": "\\u0000"}', 400, "nul"),
    "a key twice": (b'{"event": "share", "event": "purchase"}', 400, "duplicate-key"),
    "NaN": (b'{"engagement_time_msec": NaN, "events": []}', 400, "number-not-finite"),
    "too deep": (b"[" * 40 + b"]" * 40, 400, "too-deep"),
    "10,000 events": ([{"event": "share"}] * 10_000, 413, "too-many-events"),
    "10,000 events of a page": ({**PAGE, "events": [{"name": "share"}] * 10_000}, 413, "too-many-events"),
    "one event too many": ([{"event": "share"}] * (MOST_EVENTS + 1), 413, "too-many-events"),
    "many events of many pages": (
        [{**PAGE, "events": [{"name": "share"}] * 100}] * 6,
        413,
        "too-many-events",
    ),
    "many behind none": (
        {"events": [], "batch": [{"event": "share"}] * (MOST_EVENTS + 1)},
        413,
        "too-many-events",
    ),
    "many behind a few": (
        {"events": [{"name": "share"}], "data": [{"e": "pv"}] * (MOST_EVENTS + 1)},
        413,
        "too-many-events",
    ),
    "many messages of nothing": ([{"events": []}] * (MOST_EVENTS + 1), 413, "too-many-events"),
    "too long": (b'{"event": "' + b"x" * BODY_BYTES + b'"}', 413, "body-too-large"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_message_is_answered_and_not_repeated(room: ClickRoom, name: str, capsys) -> None:
    body, status, code = BAD[name]
    answer = await room.beacon(body)
    assert answer.status_code == status
    assert answer.json().get("code", "") == code
    assert room.visits == []
    assert CANARY not in told(answer, capsys)


@pytest.mark.parametrize("path", ["/v1/collect", "/v1/batch", "/v1/b", "/v1/snowplow", "/v1/shopify"])
@pytest.mark.parametrize("short", ["events", "batch", "data"])
@pytest.mark.parametrize("long", ["events", "batch", "data"])
async def test_no_list_hides_another(room: ClickRoom, path: str, short: str, long: str) -> None:
    """Whichever an adapter reads: none is read beyond the limit because another one was counted."""
    many = [{"type": "page", "e": "pv", "name": "share", "url": "/"}] * (MOST_EVENTS + 1)
    answer = await room.beacon({short: [], long: many}, path)
    assert (answer.status_code, answer.json()) == (413, {"code": "too-many-events"})
    assert room.visits == []


@pytest.mark.parametrize(
    "said", [{"content_type": "application/xml"}, {"content_type": "text/html"}, {"content_encoding": "gzip"}]
)
async def test_other_forms_are_refused(room: ClickRoom, said: dict[str, str]) -> None:
    assert (await room.beacon(PAGE, **said)).status_code == 415
    assert room.visits == []


@pytest.mark.parametrize("hostile", ["x" * 100_000, "\u202e" * 3_000, "%" * 5_000])
async def test_texts_beyond_any_use_are_as_if_they_were_not_said(room: ClickRoom, hostile: str) -> None:
    """Half of a text may say something else, so none is ever cut."""
    before = counted(Drop.TOO_LONG)
    body = {
        **PAGE,
        "page_location": hostile,
        "events": [{"name": "search", "params": {"search_term": hostile}}],
    }
    assert (await room.beacon(body)).status_code == 202
    assert [(page.location, page.term) for page in room.pages] == [("", "")]
    assert counted(Drop.TOO_LONG) == before + 2


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/p/1", "//evil.example/p/1", "/\\evil.example", "https://shop.example@evil.example/",
     "javascript:alert(1)", "p/1", "https://shop.example.evil.example/"],
)  # fmt: skip
async def test_pages_of_others_are_not_counted(room: ClickRoom, elsewhere: str) -> None:
    before = counted(Drop.FOREIGN_PAGE)
    assert (await room.beacon({**PAGE, "page_location": elsewhere, "events": []})).status_code == 202
    assert room.visits == []
    assert counted(Drop.FOREIGN_PAGE) == before + 1
    await room.beacon({**PAGE, "page_referrer": elsewhere})
    assert room.pages[0].referrer == ""


async def test_what_a_browsers_clock_says_is_never_read(room: ClickRoom) -> None:
    """The windows are the gateway's own: a clock that is wrong, or lies, moves nothing."""
    for stamp in (0, -(2**60), 2**62, "1970-01-01T00:00:00Z", CANARY):
        body = {**PAGE, "timestamp_micros": stamp, "timestamp": stamp, "sentAt": stamp}
        assert (await room.beacon(body)).json() == {"accepted": True}
    assert len({(page.location, page.visible_seconds) for page in room.pages}) == 1


@pytest.mark.parametrize("time_msec", [-1, 1e300, "30000", None, True, [30_000]])
async def test_times_that_are_none_are_not_counted(room: ClickRoom, time_msec: Any) -> None:
    await room.beacon({**PAGE, "engagement_time_msec": time_msec})
    (page,) = room.pages
    assert page.visible_seconds in (None, 4 * 3_600.0)
    assert (page.visible_seconds is None) == (time_msec != 1e300)


async def test_without_a_tag_key_nothing_is_taken_and_the_sender_is_told(room: ClickRoom) -> None:
    def none(*_: object) -> None:
        raise Refusal(Code.TAG_KEY_MISSING)

    room.anonymiser.take = none  # type: ignore[method-assign]
    answer = await room.beacon(PAGE)
    assert (answer.status_code, answer.json()) == (503, {"code": "tag-key-missing"})
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_without_the_database_shops_are_served_as_long_as_what_is_known_is_fresh(
    room: ClickRoom,
) -> None:
    room.desk.away = True
    assert (await room.beacon(PAGE)).json() == {"code": "store-unavailable"}
    room.desk.away = False
    assert (await room.beacon(PAGE)).status_code == 202
    room.desk.away = True
    assert (await room.beacon(PAGE)).status_code == 202


async def test_a_fault_says_nothing_of_the_visitor(room: ClickRoom, capsys) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError(CANARY)

    room.anonymiser.take = fault  # type: ignore[method-assign]
    log.configure("gateway-1")
    try:
        answer = await room.beacon(PAGE)
    finally:
        log._configure_lines("unconfigured", log.logging.INFO)
    assert (answer.status_code, answer.json()) == (500, {"code": "internal"})
    said = told(answer, capsys)
    assert "request failed" in said
    assert CANARY not in said


async def test_a_large_body_lets_others_have_their_turn(room: ClickRoom) -> None:
    """Each product is a page of its own, so this is the most that one body can hold."""
    turns: list[int] = []

    def slow(_: object, __: str, ___: str, pages: Any) -> None:
        turns.append(len(pages))
        time.sleep(0.001)

    room.anonymiser.take = slow  # type: ignore[method-assign]
    events = [{"event": "view_item", "items": [{"item_id": str(number)}]} for number in range(MOST_EVENTS)]
    ended: list[str] = []

    async def send(name: str, body: Any) -> None:
        assert (await room.beacon(body)).status_code == 202
        ended.append(name)

    await asyncio.gather(send("large", events), send("small", PAGE))
    assert ended == ["small", "large"]
    assert PAGES_PER_TURN < 10, "the worst page takes more than a millisecond"
    assert max(turns) == PAGES_PER_TURN
    assert sum(turns) == MOST_EVENTS + 1


async def test_between_the_steps_of_a_large_body_others_have_their_turn(
    room: ClickRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a megabyte is parsed, read, made pages and made anonymous, and nobody waits for all of it."""
    turns = 0
    at: dict[str, list[int]] = {}

    def noting(name: str, done: Any) -> Any:
        def noted(*said: Any) -> Any:
            at.setdefault(name, []).append(turns)
            return done(*said)

        return noted

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for name in ("parsed", "pages_of"):
        monkeypatch.setattr(collect, name, noting(name, getattr(collect, name)))
    monkeypatch.setitem(ADAPTERS, "/v1/collect", noting("read", ADAPTERS["/v1/collect"]))
    room.anonymiser.take = noting("taken", room.anonymiser.take)  # type: ignore[method-assign]
    waiting = asyncio.create_task(others())
    padding = {"pad": "x" * 70_000}
    events = [{"event": "view_item", "items": [{"item_id": str(number)}]} for number in range(50)]
    assert (await room.beacon([padding, *events])).status_code == 202
    waiting.cancel()
    steps = [*at["parsed"], *at["read"], *at["pages_of"]]
    assert len(set(steps)) == 3
    assert len(set(at["taken"])) == len(at["taken"]) >= 50 / PAGES_PER_TURN


async def test_who_may_not_send_is_turned_away_before_the_patterns_of_programs_are_asked(
    room: ClickRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take a thousand times as long as to see that a page is not one of the shop's."""
    asked: list[str] = []
    monkeypatch.setattr(bots.crawleruseragents, "is_crawler", asked.append)
    strange = "Mozilla/5.0 (a browser that nobody has seen)"
    for headers in ({"shop": "shoeshop"}, {"shop": None}, {"origin": "https://evil.example"}):
        assert (await room.beacon(PAGE, user_agent=strange, **headers)).status_code in (403, 404)  # type: ignore[arg-type]
    assert asked == []
    await room.beacon(PAGE, user_agent=strange)
    assert asked == [strange]


async def test_a_proxy_that_nobody_trusts_is_told_of_once(room: ClickRoom, capsys) -> None:
    """Without the setting its visitors are told apart by their browser only, and ten browsers look like a crowd."""
    await room.beacon(PAGE)
    assert "proxy not trusted" not in told(await room.beacon(PAGE), capsys)
    log.configure("gateway-1")
    try:
        for _ in range(2):
            answer = await room.beacon(PAGE, x_forwarded_for="203.0.113.9")
    finally:
        log._configure_lines("unconfigured", log.logging.INFO)
    said = told(answer, capsys)
    assert said.count("proxy not trusted") == 1
    assert "203.0.113.9" not in said


@pytest.mark.parametrize("path", ["/v1/collect", "/v1/batch", "/v1/snowplow", "/v1/shopify"])
async def test_as_many_events_as_are_allowed_are_taken(room: ClickRoom, path: str) -> None:
    """Also where each has a list of its own, which is no list of events."""
    items = [{"item_id": str(number)} for number in range(200)]
    events = [
        {"event": "share", "name": "cart_viewed", "items": items[: 1 + number % 20]}
        for number in range(MOST_EVENTS)
    ]
    body = {"/v1/batch": {"batch": events}, "/v1/snowplow": {"data": events}}.get(path, events)
    assert (await room.beacon(body, path)).status_code == 202


async def test_a_body_that_was_not_read_does_not_become_the_next_request(room: ClickRoom) -> None:
    """On one connection: what somebody sent who refuses is thrown away, whatever it looks like."""
    server = HttpServer(room.app, "127.0.0.1", 0)
    await server.start()
    try:
        hidden = b"POST /v1/collect?shop=bookshop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 2_000
        usual = {"origin": ORIGIN, "user-agent": BROWSER, "content-type": "text/plain"}
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", limits=limits) as http:
            url = f"/v1/collect?shop={SHOP}"
            refused = await http.post(url, content=hidden, headers={**usual, "sec-gpc": "1"})
            taken = await http.post(url, json=PAGE, headers={**usual, "content-type": "application/json"})
    finally:
        await server.stop()
    assert (refused.status_code, taken.status_code) == (204, 202)
    assert len(room.visits) == 1


async def test_gpc_is_said_to_be_abided_by(room: ClickRoom) -> None:
    answer = await room.http.get("/.well-known/gpc.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["gpc"] is True
    assert len(json.loads(answer.content)["lastUpdate"]) == 10
