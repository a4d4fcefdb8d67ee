"""The snippet in a real browser: what it sends, that it stores nothing, and that it sends nothing after a refusal."""

import gzip
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse
from starlette.routing import Route

from services.gateway.clicks import snippet
from services.gateway.clicks.cells import BUCKETS
from services.gateway.clicks.site import INTERACTIONS
from services.gateway.clicks.vocabulary import SEARCHES, VIEW_ITEM
from services.kernel.http.server import HttpServer
from tests.unit.clicks_door import BROWSER, SITE, ClickRoom

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "storefront.md"
MOST_BYTES = 2 * 1024
STORES = """async () => ({
    cookie: document.cookie, local: {...localStorage}, session: {...sessionStorage},
    databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length, name: window.name,
})"""
NOTHING_STORED = {
    "cookie": "", "local": {}, "session": {}, "databases": 0, "caches": 0, "workers": 0, "name": "",
}  # fmt: skip


async def test_it_fits_into_two_kibibytes() -> None:
    assert len(gzip.compress(snippet.SCRIPT, 9)) <= MOST_BYTES


async def test_it_says_times_in_the_buckets_that_are_counted() -> None:
    (bounds,) = re.findall(rb"\[(\d+(?:, \d+)*)\]\.find", snippet.SCRIPT)
    assert sorted(int(each) for each in bounds.split(b",")) == [low for low, _ in BUCKETS]


async def test_it_knows_the_names_that_are_counted() -> None:
    (names,) = re.findall(rb"names = /\^\(([a-z_|]+)\)\$/", snippet.SCRIPT)
    assert set(names.decode().split("|")) == {*INTERACTIONS, *SEARCHES, VIEW_ITEM}


async def test_it_is_served_once_and_then_remembered_by_its_digest() -> None:
    room = ClickRoom()
    first = await room.http.get("/collect.js?shop=bookshop")
    assert first.content == snippet.SCRIPT
    assert first.headers["content-type"].startswith("text/javascript")
    again = await room.http.get("/collect.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


class Wire:
    """Everything that a browser says to an application, written down on its way: a beacon at the end of a page, too."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.posts: list[bytes] = []
        self.heads: list[dict[bytes, bytes]] = []
        self.calls: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in ("/later", "/favicon.ico"):
            self.calls.append(f"{scope['method']} {scope['path']}")
        body = b""

        async def heard() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await self.app(scope, heard, send)
        if scope["method"] == "POST":
            self.posts.append(body)
            self.heads.append(dict(scope["headers"]))


class Shop:
    """A shop's pages at one origin, the gateway at another, and what the browser says to the gateway."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.room = ClickRoom()
        self.wire = Wire(self.room.app)
        self.gateway = HttpServer(self.wire, "127.0.0.1", 0)
        self.html = ""
        self.pages = HttpServer(Starlette(routes=[Route("/{path:path}", self._page)]), "127.0.0.1", 0)

    async def open(self) -> None:
        await self.gateway.start()
        await self.pages.start()
        self.room.desk.put(SITE.model_copy(update={"origins": (self.origin,)}))
        self.script = f'<script src="http://127.0.0.1:{self.gateway.port}/collect.js?shop=bookshop"></script>'

    async def close(self) -> None:
        await self.pages.stop()
        await self.gateway.stop()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.pages.port}"

    async def visitor(self, **said: Any) -> BrowserContext:
        """Return somebody who has never been here, in a browser that does not call itself a program."""
        return await self.browser.new_context(**said)

    def beacons(self) -> list[Any]:
        """Return what was posted and read, in order."""
        return [json.loads(body) for body in self.wire.posts if body]

    async def _page(self, request: HttpRequest) -> HTMLResponse:
        return HTMLResponse(
            f"<!doctype html><html{self.attributes}><body>{self.before}{self.script}{self.html}"
        )

    attributes = ""
    before = ""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("LETHE_CI"):
            pytest.fail("chromium is not installed, and in CI it must be")
        pytest.skip("chromium is not installed")
    async with async_playwright() as play:
        # Said to the whole browser: what leaves with a page would otherwise call itself headless, and be no visitor's.
        arguments = ["--no-sandbox", f"--user-agent={BROWSER}"]
        launched = await play.chromium.launch(executable_path=path, args=arguments)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def shop(browser: Browser) -> AsyncIterator[Shop]:
    made = Shop(browser)
    await made.open()
    yield made
    for context in browser.contexts:
        await context.close()
    await made.close()


async def leave(shop: Shop, page: Page, beacons: int) -> None:
    """Go elsewhere, and wait for so many beacons; then a little for any that should not be."""
    await page.goto(f"http://127.0.0.1:{shop.gateway.port}/later")
    for _ in range(100):
        if len(shop.wire.posts) >= beacons:
            break
        await page.wait_for_timeout(100)
    await page.wait_for_timeout(700)


async def test_one_message_for_a_page_and_what_was_done_there(shop: Shop) -> None:
    """C3, C4: route, same-origin referrer, a bucket of time, interactions, and nothing else."""
    shop.html = """<script>
        dataLayer = window.dataLayer || [];
        const item = {item_id: '85123A', item_category: 'lights', price: 3};
        dataLayer.push({event: 'view_item', ecommerce: {items: [item]}});
        dataLayer.push({event: 'purchase', ecommerce: {transaction_id: 'T1', items: [{item_id: '1'}]}});
        function gtag() { dataLayer.push(arguments); }
        gtag('event', 'add_to_cart', {user_id: 'U1', items: [{item_id: '85123A'}]});
        lethe('event', 'search', {search_term: 'red lamp', email: 'a@b.c'});
    </script>"""
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/85123A?x=1#part")
    await leave(shop, page, 1)
    assert shop.beacons() == [
        {
            "page_location": "/p/85123A?x=1",
            "page_referrer": "",
            "engagement_time_msec": 0,
            "events": [
                {
                    "name": "view_item",
                    "params": {"items": [{"item_id": "85123A", "item_category": "lights"}]},
                },
                {"name": "add_to_cart", "params": {"items": [{"item_id": "85123A"}]}},
                {"name": "search", "params": {"search_term": "red lamp"}},
            ],
        }
    ]
    (counted,) = shop.room.pages
    assert (counted.item, counted.term) == ("85123A", "red lamp")
    (head,) = shop.wire.heads
    assert b"cookie" not in head
    assert head[b"content-type"].startswith(b"text/plain"), "no preflight"


async def test_the_how_tos_own_page_is_counted(shop: Shop) -> None:
    """What docs/how-to/storefront.md tells shops to put into their pages, as it stands there."""
    tagged, _ = re.findall(r"```html\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    shop.script = ""
    shop.html = tagged.replace("https://lethe.example", f"http://127.0.0.1:{shop.gateway.port}")
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/85123A", wait_until="load")
    await leave(shop, page, 1)
    (message,) = shop.beacons()
    assert sorted(each["name"] for each in message["events"]) == ["add_to_cart", "view_item"]
    assert [each.item for each in shop.room.pages] == ["85123A"]


async def test_what_the_snippet_cannot_read_reaches_the_shops_own_analytics_first(shop: Shop) -> None:
    """A data layer is the shop's: whatever is pushed gets there, and nothing of ours is thrown at who pushed it."""
    shop.before = """<script>
        seen = []; thrown = [];
        dataLayer = [{event: 'share', ecommerce: {items: [null]}}, {get event() { throw Error() }}];
        dataLayer.push = function () {
            seen.push('pushed');
            return Array.prototype.push.apply(this, arguments);
        };
    </script>"""
    shop.html = """<script>
        const fault = {get ecommerce() { seen.push('read'); throw Error('ours') }, event: 'share'};
        for (const said of [{event: 'add_to_cart', ecommerce: {items: [null, 0, {item_id: 'A'}]}}, fault, null, 1,
                            {event: 'add_to_cart', ecommerce: {items: {map: 1}}}, {event: 'view_cart'}])
            try { seen.push(dataLayer.push(said)) } catch (error) { thrown.push(String(error)) }
    </script>"""
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/A")
    assert await page.evaluate("thrown") == []
    assert await page.evaluate("dataLayer.length") == 8
    seen = await page.evaluate("seen.join(' ')")
    assert seen == "pushed 3 pushed read 4 pushed 5 pushed 6 pushed 7 pushed 8", "the shop's own came first"
    await leave(shop, page, 1)
    (message,) = shop.beacons()
    assert [(each["name"], each["params"].get("items")) for each in message["events"]] == [
        ("share", []),
        ("add_to_cart", [{"item_id": "A"}]),
        ("view_cart", None),
    ]


async def test_what_was_pushed_before_it_was_there_counts(shop: Shop) -> None:
    shop.before = """<script>
        dataLayer = [{event: 'view_item', ecommerce: {items: [{item_id: 'A'}]}}];
        window.lethe = function () { (lethe.q = lethe.q || []).push(arguments) };
        lethe('event', 'share', {});
    </script>"""
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/A")
    await leave(shop, page, 1)
    assert [each["name"] for each in shop.beacons()[0]["events"]] == ["share", "view_item"]


async def test_the_next_page_says_where_it_was_come_from_within_the_shop_only(shop: Shop) -> None:
    shop.html = '<a href="/p/A?utm_source=mail">next</a>'
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/cart", referer="https://elsewhere.example/a-page-of-theirs")
    await page.click("a")
    await page.wait_for_load_state()
    await leave(shop, page, 2)
    first, second = shop.beacons()
    assert (first["page_location"], first["page_referrer"]) == ("/cart", "")
    assert (second["page_location"], second["page_referrer"]) == ("/p/A?utm_source=mail", "/cart")


async def test_a_single_page_shop_has_one_message_for_each_of_its_pages(shop: Shop) -> None:
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/")
    await page.evaluate("history.pushState({}, '', '/p/A')")
    await page.evaluate("lethe('event', 'view_item', {items: [{item_id: 'A'}]})")
    await page.go_back()
    await leave(shop, page, 3)
    told = [(each["page_location"], each["page_referrer"], len(each["events"])) for each in shop.beacons()]
    assert told == [("/", "", 0), ("/p/A", "/", 1), ("/", "/p/A", 0)]


async def test_what_is_done_on_coming_back_to_a_tab_is_told_without_another_page_view(shop: Shop) -> None:
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/A")
    hidden = "Object.defineProperty(document, 'visibilityState', {value: %r, configurable: true});"
    changed = "document.dispatchEvent(new Event('visibilitychange'))"
    await page.evaluate(hidden % "hidden" + changed)
    await page.evaluate(hidden % "visible" + changed)
    await page.evaluate("lethe('event', 'add_to_cart', {items: [{item_id: 'A'}]})")
    await leave(shop, page, 2)
    first, second = shop.beacons()
    assert first["page_location"] == "/p/A"
    assert second == {"events": [{"name": "add_to_cart", "params": {"items": [{"item_id": "A"}]}}]}
    assert [page.location for page in shop.room.pages] == ["/p/A", ""]


async def test_nothing_is_stored_in_the_browser(shop: Shop) -> None:
    """C3: no cookie, no local or session storage, no database, no cache, no worker."""
    context = await shop.visitor()
    page = await context.new_page()
    for path in ("/", "/p/A"):
        await page.goto(shop.origin + path)
        await page.evaluate("lethe('event', 'share', {})")
        assert await page.evaluate(STORES) == NOTHING_STORED
    await page.goto(f"{shop.origin}/")
    assert await page.evaluate(STORES) == NOTHING_STORED
    assert await context.cookies() == []
    await leave(shop, page, 3)
    assert len(shop.beacons()) == 3
    assert not re.search(r"[0-9a-f]{8}|\d{10}", json.dumps(shop.beacons())), "an identifier, or an exact time"


@pytest.mark.parametrize(
    ("attributes", "before", "browser_says"),
    [
        (' data-lethe="off"', "", ""),
        ("", "<script>window.letheRefused = true</script>", ""),
        ("", "", "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"),
        ("", "", "Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => '1'})"),
    ],
    ids=["the page's switch", "the shop's word", "GPC", "DNT"],
)
async def test_after_a_refusal_nothing_is_sent_and_the_page_works(
    shop: Shop, attributes: str, before: str, browser_says: str
) -> None:
    """R4: not even a request that says that nothing was counted; and the shop's own calls do no harm."""
    shop.attributes, shop.before = attributes, before
    shop.html = "<script>lethe('event', 'share', {}); window.ended = true</script>"
    context = await shop.visitor()
    if browser_says:
        await context.add_init_script(browser_says)
    page = await context.new_page()
    await page.goto(f"{shop.origin}/p/A")
    assert await page.evaluate("window.ended")
    await page.evaluate("history.pushState({}, '', '/cart')")
    await leave(shop, page, 0)
    assert shop.beacons() == []
    assert shop.room.visits == []
    assert shop.wire.calls == ["GET /collect.js"]


async def test_who_refuses_while_on_the_page_is_not_told_of_either(shop: Shop) -> None:
    page = await (await shop.visitor()).new_page()
    await page.goto(f"{shop.origin}/p/A")
    await page.evaluate("lethe('event', 'share', {}); document.documentElement.dataset.lethe = 'off'")
    await leave(shop, page, 0)
    assert shop.beacons() == []


async def test_the_server_stores_nothing_even_if_something_is_sent(shop: Shop) -> None:
    """R4: a browser that says `Sec-GPC: 1` but whose page sends all the same."""
    page = await (await shop.visitor(extra_http_headers={"Sec-GPC": "1"})).new_page()
    await page.goto(f"{shop.origin}/p/A")
    # Sent while the page is there: to what leaves with it, this way of saying a header does not reach.
    await page.evaluate("history.pushState({}, '', '/cart'); letheRefused = true")
    await leave(shop, page, 1)
    assert shop.wire.calls == ["GET /collect.js", "POST /v1/collect"], "the snippet knew of no refusal"
    assert shop.wire.heads[0][b"sec-gpc"] == b"1"
    assert shop.beacons() == [], "nothing of it was read"
    assert shop.room.visits == []
