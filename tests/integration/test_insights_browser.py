"""The merchandiser's page in a real browser: on a desk, on a phone, in the dark, on paper, without a script."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from services.insights.app import door
from services.kernel.clock import SystemClock
from services.kernel.http.server import HttpServer
from tests.fixtures.browser import DESKTOP, PHONE, a_page, chromium
from tests.unit.insights_room import DAY, DAY_BEFORE, TOKEN, Room, a_day

# One browser and one loop for all of them: it takes seconds to start.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = Path("build")


@pytest_asyncio.fixture(loop_scope="module")
async def url() -> AsyncIterator[str]:
    """The page of a shop with two days, on a socket."""
    room = Room()
    room.desk.publish(*a_day(DAY_BEFORE), *a_day())
    server = HttpServer(door(room.settings, room.desk, SystemClock()), "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tool: Callable[[str], str]) -> AsyncIterator[Browser]:
    async with chromium(tool) as started:
        yield started


async def enter(page: Page, url: str) -> None:
    """Sign in as a person does, with the keyboard alone."""
    await page.goto(url)
    await page.keyboard.press("Tab")
    await expect(page.locator("#token")).to_be_focused()
    await page.keyboard.type(TOKEN)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("bookshop")


async def shoot(page: Page, name: str) -> None:
    await page.screenshot(path=SHOTS / f"insights-{name}.png", full_page=True)


async def sideways(page: Page) -> list[str]:
    """Return what is wider than the window, by evaluating in a world of the test's own."""
    return await page.evaluate(
        """() => [...document.querySelectorAll('body *')]
        .filter(each => each.getClientRects().length && !each.closest('svg svg, .unseen, .skip')
            && each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
        .map(each => each.tagName + '.' + each.getAttribute('class'))"""
    )


async def test_a_merchandiser_signs_in_looks_at_a_day_and_signs_out(browser: Browser, url: str) -> None:
    """All of it without JavaScript, and without a complaint of the browser."""
    async with a_page(browser, java_script_enabled=False, **DESKTOP) as page:
        await page.goto(url)
        await shoot(page, "sign-in")
        await enter(page, url)
        (cookie,) = await page.context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["value"] != TOKEN
        await shoot(page, "desktop")
        await page.select_option("#day", DAY_BEFORE)
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("Saturday, 21 November 2026")).to_be_visible()
        await page.get_by_text("The same as a table").first.click()
        await expect(page.get_by_role("cell", name="≥ 1,420")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator("#token")).to_be_visible()
        await page.goto(url)
        assert page.url.endswith("/sign-in")
        assert page.complaints == []


async def test_a_wrong_token_is_said_where_a_screen_reader_hears_it(browser: Browser, url: str) -> None:
    async with a_page(browser, java_script_enabled=False, **DESKTOP) as page:
        await page.goto(url)
        await page.fill("#token", "wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("The token is missing, wrong or revoked")
        await expect(page.locator("#token")).to_have_attribute("aria-invalid", "true")


async def test_another_sites_form_does_not_sign_anybody_in(browser: Browser, url: str) -> None:
    """In a real browser, which says by itself where a form comes from."""
    async with a_page(browser, **DESKTOP) as page:
        form = f'<form method=post action="{url}/sign-in"><input name=token value="{TOKEN}"><button>Go</button></form>'
        await page.goto(f"data:text/html,{form}")
        async with page.expect_navigation():
            await page.get_by_role("button").click()
        assert "not sent from this page" in await page.inner_text("main")
        assert await page.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(browser: Browser, url: str, scheme: str) -> None:
    async with a_page(browser, color_scheme=scheme, **PHONE) as page:
        await enter(page, url)
        for each in await page.query_selector_all("summary"):
            await each.click()
        assert await sideways(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await expect(page.locator("svg.flow.narrow")).to_be_visible()
        await expect(page.locator("svg.flow.wide")).to_be_hidden()
        smallest = await page.evaluate(
            """() => Math.min(...[...document.querySelectorAll('svg text')]
            .filter(each => each.getClientRects().length)
            .map(each => parseFloat(getComputedStyle(each).fontSize) * each.getScreenCTM().a))"""
        )
        assert smallest >= 11
        touchable = await page.evaluate(
            """() => [...document.querySelectorAll('button, select, summary, .contents a')]
            .filter(each => each.getClientRects().length).map(each => each.getBoundingClientRect().height)"""
        )
        assert min(touchable) >= 24
        await page.reload()
        await shoot(page, f"phone-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_in_both_schemes(browser: Browser, url: str, scheme: str) -> None:
    """Each text against what is behind it, each drawn shape against the page."""
    async with a_page(browser, color_scheme=scheme, **DESKTOP) as page:
        for path in ("/sign-in", "/"):
            if path == "/":
                await enter(page, url)
            else:
                await page.goto(url + path)
            found = await page.evaluate(_CONTRASTS)
            assert len(found) > 4
            pale = {each["what"]: each["ratio"] for each in found if each["ratio"] < each["least"]}
            assert pale == {}
        paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) < 200) == (scheme == "dark")
        if scheme == "dark":
            await shoot(page, "dark")


async def test_a_screen_reader_hears_names_headings_and_tables(browser: Browser, url: str) -> None:
    async with a_page(browser, **DESKTOP) as page:
        await enter(page, url)
        headings = await page.get_by_role("heading").all_inner_texts()
        assert headings[0] == "bookshop" and len(headings) == 8
        drawings = page.get_by_role("img")
        assert await drawings.count() == 7
        for each in await drawings.all():
            assert await each.evaluate("each => each.querySelector('desc').textContent.includes('at least')")
        await expect(page.get_by_role("img", name="Steps from page to page")).to_be_visible()
        for table in await page.get_by_role("table").all():
            assert await table.evaluate("each => each.caption.textContent.length > 5")
            assert await table.evaluate("each => each.querySelectorAll('th[scope=col]').length > 1")
        unnamed = await page.evaluate(
            """() => [...document.querySelectorAll('input, select')].filter(each => !each.labels.length)
            .map(each => each.id)"""
        )
        assert unnamed == []
        assert await page.evaluate("document.documentElement.lang") == "en"


async def test_the_keyboard_reaches_everything_and_is_seen_to(browser: Browser, url: str) -> None:
    async with a_page(browser, **DESKTOP) as page:
        await enter(page, url)
        await page.reload()
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("To the numbers")).to_be_in_viewport()
        reached = []
        for _ in range(13):
            await page.keyboard.press("Tab")
            name, outline = await page.evaluate(
                """() => [document.activeElement.innerText.split('\\n')[0],
                getComputedStyle(document.activeElement).outlineStyle]"""
            )
            assert outline != "none"
            reached.append(name)
        assert reached[0] == "Sign out" and reached[2] == "Show" and reached.count("The same as a table") == 2


async def test_it_prints_what_it_shows_without_what_cannot_be_pressed(browser: Browser, url: str) -> None:
    async with a_page(browser, color_scheme="dark", **DESKTOP) as page:
        await enter(page, url)
        await page.emulate_media(media="print")
        assert not await page.get_by_role("button", name="Sign out").is_visible()
        await expect(page.get_by_role("cell", name="≥ 1,420")).to_be_visible()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert (await page.pdf()).startswith(b"%PDF")
        await shoot(page, "print")


async def test_an_empty_shop_is_shown_as_such(browser: Browser) -> None:
    room = Room()
    server = HttpServer(door(room.settings, room.desk, SystemClock()), "127.0.0.1", 0)
    await server.start()
    async with a_page(browser, **DESKTOP) as page:
        await enter(page, f"http://127.0.0.1:{server.port}")
        await expect(page.get_by_role("heading", name="Nothing has been published yet")).to_be_visible()
        await shoot(page, "empty")
    await server.stop()


async def test_a_term_that_is_a_script_stays_text(browser: Browser, url: str) -> None:
    async with a_page(browser, **DESKTOP) as page:
        alarms: list[str] = []
        page.on("dialog", lambda dialog: alarms.append(dialog.message))
        await enter(page, f"{url}/?day={DAY}")
        await expect(page.get_by_role("rowheader", name="<script>alert(1)</script>")).to_be_visible()
        # What a page of ours could never hold is refused by the policy, should it come to hold it.
        await page.evaluate(
            "document.body.append(Object.assign(document.createElement('img'), {src: '/x.png'}))"
        )
        await page.wait_for_timeout(200)
        assert alarms == [] and any("Content Security Policy" in each for each in page.complaints)


_CONTRASTS = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = text => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const bright = ([r, g, b]) => [r, g, b].map(each => each / 255)
        .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = each => {
        for (; each; each = each.parentElement) {
            const found = rgb(getComputedStyle(each).backgroundColor);
            if (found[3] === 255) return found;
        }
        return [255, 255, 255, 255];
    };
    const ratio = (first, second) => {
        const [low, high] = [bright(first), bright(second)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const seen = each => each.getClientRects().length > 0;
    const texts = [...document.querySelectorAll('body *')]
        .filter(each => seen(each) && !each.closest('svg')
            && [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
        .map(each => ({what: each.tagName + ' ' + each.textContent.trim().slice(0, 40), least: 4.5,
            ratio: ratio(rgb(getComputedStyle(each).color), behind(each))}));
    const labels = [...document.querySelectorAll('svg text')].filter(seen)
        .map(each => ({what: 'text ' + each.textContent, least: 4.5,
            ratio: ratio(rgb(getComputedStyle(each).fill), behind(each))}));
    const shapes = [...document.querySelectorAll('svg rect')].filter(seen)
        .map(each => ({what: 'rect ' + each.getAttribute('class'), least: 3,
            ratio: ratio(rgb(getComputedStyle(each).fill), behind(each))}));
    return [...texts, ...labels, ...shapes];
}"""
