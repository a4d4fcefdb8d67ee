"""The merchandiser's page: who gets in, what it says, and what it cannot be made to do."""

import re
from datetime import timedelta

import httpx
import pytest

from schemas.clicks import Kind
from services.insights.desk import MOST_SESSIONS, SESSION
from services.insights.domain import Dropped
from services.insights.library import FRESH_SECONDS
from services.insights.signing import MOST_ADDRESSES, Attempts
from services.kernel.http.recent import STALE_SECONDS
from tests.unit.insights_room import (
    DAY,
    DAY_BEFORE,
    FROM_HERE,
    ORIGIN,
    OTHER_TOKEN,
    SHOP,
    TOKEN,
    Room,
    StillClock,
    a_day,
    count,
)


@pytest.fixture
def room() -> Room:
    made = Room()
    made.desk.publish(*a_day(), *a_day(DAY_BEFORE))
    made.desk.publish(*a_day())
    return made


async def page(room: Room, query: str = "") -> str:
    """Return the page as text, signed in."""
    await room.sign_in()
    answer = await room.http.get(f"/{query}", headers={"cookie": cookie_of(room)})
    assert answer.status_code == 200
    return answer.text


def cookie_of(room: Room) -> str:
    """Return the cookie that the browser would send; httpx keeps back what is for encrypted connections only."""
    return "; ".join(f"{each.name}={each.value}" for each in room.http.cookies.jar)


async def signed_in(room: Room, cookie: str) -> bool:
    answer = await room.http.get("/", headers={"cookie": cookie})
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


# --- getting in ---


async def test_nobody_sees_the_page_without_signing_in(room: Room) -> None:
    answer = await room.http.get("/")
    assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/sign-in", b"")
    assert "bookshop" not in (await room.http.get("/sign-in")).text


async def test_the_token_opens_a_session_of_its_own(room: Room) -> None:
    """The cookie is another secret: out of reach of scripts, of other sites, and of a wire without encryption."""
    answer = await room.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"__Host-lethe=[\w-]{43}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure", cookie
    )
    assert TOKEN not in cookie
    shown = await room.http.get("/", headers={"cookie": cookie.partition(";")[0]})
    assert "<h1>bookshop</h1>" in shown.text
    assert shown.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "secure"),
    [
        ("127.0.0.1:8080", False), ("localhost", False), ("[::1]:8080", False), ("insights.example", True),
        ("127.0.0.1.example", True), ("localhost.example:80", True), ("[::1", True), ("", True),
    ],
)  # fmt: skip
async def test_only_on_this_very_machine_the_cookie_needs_no_encryption(room: Room, host, secure) -> None:
    answer = await room.http.post(
        "/sign-in", data={"token": TOKEN}, headers={"host": host, "sec-fetch-site": "same-origin"}
    )
    assert answer.headers["set-cookie"].startswith("__Host-lethe=" if secure else "lethe=")
    assert answer.headers["set-cookie"].endswith("; Secure") == secure


async def test_a_wrong_token_is_told_in_the_form(room: Room) -> None:
    answer = await room.sign_in("Quxolotl")
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text and "Quxolotl" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("token", ["", " ", "x" * 300, "\0", "\udcff"])
async def test_whatever_is_typed_is_decided(room: Room, token) -> None:
    body = b"token=" + token.encode("utf-8", "surrogateescape")
    answer = await room.http.post(
        "/sign-in", content=body, headers=FROM_HERE | {"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in (400, 401)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"token=" + TOKEN.encode(), "text/plain"),
        (b"token=%FF", "application/x-www-form-urlencoded"),
        (b"a=1&b=2&c=3&d=4&e=5&token=x", "application/x-www-form-urlencoded"),
        (b"token=" + b"x" * 5_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_what_is_not_the_form_is_refused(room: Room, content, kind) -> None:
    answer = await room.http.post("/sign-in", content=content, headers=FROM_HERE | {"content-type": kind})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": ORIGIN, "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://[::1"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
async def test_a_form_from_elsewhere_is_refused(room: Room, headers, path) -> None:
    """Nobody is signed in to another shop's page, or out of their own, by a foreign page."""
    await room.sign_in()
    cookie = cookie_of(room)
    answer = await room.http.post(path, data={"token": OTHER_TOKEN}, headers=headers | {"cookie": cookie})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert await signed_in(room, cookie)


@pytest.mark.parametrize("headers", [{"origin": ORIGIN}, {"sec-fetch-site": "same-origin"}])
async def test_an_older_browser_says_only_one_of_both(room: Room, headers) -> None:
    answer = await room.http.post("/sign-in", data={"token": TOKEN}, headers=headers)
    assert answer.status_code == 303


async def test_signing_out_ends_the_session_and_not_only_the_cookie(room: Room) -> None:
    await room.sign_in()
    cookie = cookie_of(room)
    assert await signed_in(room, cookie)
    answer = await room.http.post("/sign-out", headers=FROM_HERE | {"cookie": cookie})
    assert answer.headers["location"] == "/sign-in" and "Max-Age=0" in answer.headers["set-cookie"]
    assert not await signed_in(room, cookie)


async def test_a_revoked_token_ends_its_sessions_within_five_seconds(room: Room) -> None:
    await room.sign_in()
    cookie = cookie_of(room)
    assert await signed_in(room, cookie)
    room.desk.revoke(SHOP)
    room.clock.at += STALE_SECONDS + 0.5
    assert not await signed_in(room, cookie)


async def test_a_session_ends_by_itself(room: Room) -> None:
    await room.sign_in()
    cookie = cookie_of(room)
    room.now += SESSION - timedelta(seconds=1)
    room.clock.at += 60
    assert await signed_in(room, cookie)
    room.now += timedelta(seconds=2)
    room.clock.at += 60
    assert not await signed_in(room, cookie)


async def test_too_many_sessions_end_the_oldest(room: Room) -> None:
    cookies = []
    for _ in range(MOST_SESSIONS + 1):
        room.now += timedelta(seconds=1)
        room.clock.at += 60
        cookies.append((await room.sign_in()).headers["set-cookie"].partition(";")[0])
    room.http.cookies.clear()
    assert not await signed_in(room, cookies[0])
    assert await signed_in(room, cookies[1]) and await signed_in(room, cookies[-1])


@pytest.mark.parametrize(
    "cookie", ["__Host-lethe=", "__Host-lethe=guess", "lethe=x", "=", "a=b; __Host-lethe=\xff", "x" * 9_000]
)
async def test_whatever_a_cookie_holds_nobody_gets_in(room: Room, cookie) -> None:
    assert not await signed_in(room, cookie.encode("latin-1"))  # type: ignore[arg-type]


async def test_attempts_are_limited_per_address_and_minute(room: Room) -> None:
    """Also for the right token: what is limited is not looked at."""
    for _ in range(10):
        assert (await room.sign_in("wrong")).status_code == 401
    limited = await room.sign_in()
    assert limited.status_code == 429 and int(limited.headers["retry-after"]) > 0
    assert 'role="alert"' in limited.text
    elsewhere = httpx.AsyncClient(
        transport=httpx.ASGITransport(room.app, client=("192.0.2.9", 1)), base_url=ORIGIN
    )
    answer = await elsewhere.post("/sign-in", data={"token": TOKEN}, headers=FROM_HERE)
    assert answer.status_code == 303
    room.clock.at += 61
    assert (await room.sign_in()).status_code == 303


def test_addresses_are_forgotten_after_a_minute_and_never_too_many() -> None:
    clock = StillClock()
    attempts = Attempts(10, clock)
    for number in range(MOST_ADDRESSES + 5):
        attempts.note(str(number))
    assert len(attempts._counted) == MOST_ADDRESSES
    clock.at += 61
    attempts.note("last")
    assert list(attempts._counted) == ["last"]


async def test_without_the_database_the_page_says_so(room: Room) -> None:
    await room.sign_in()
    cookie = cookie_of(room)
    room.desk.away = True
    room.clock.at += 60
    answer = await room.http.get("/", headers={"cookie": cookie})
    assert answer.status_code == 503 and "retry-after" in answer.headers
    answer = await room.sign_in()
    assert answer.status_code == 503


# --- what it says ---


async def test_no_script_may_run_and_nothing_comes_from_elsewhere(room: Room) -> None:
    await room.sign_in()
    for path in ("/", "/sign-in", "/nowhere"):
        answer = await room.http.get(path, headers={"cookie": cookie_of(room)})
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; ")
        assert "unsafe" not in policy and "script-src" not in policy
        assert "<script" not in answer.text and " style=" not in answer.text and " onclick" not in answer.text
        assert not re.findall(r'(?:href|src|action)="(?!/|#|data:)', answer.text)
        assert answer.headers["x-frame-options"] == "DENY"


async def test_a_term_is_text_whatever_it_says(room: Room) -> None:
    """The shop's visitors typed it."""
    text = await page(room)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    room.desk.publish(
        count(Kind.PRODUCT, 990, '"><svg onload=alert(1)>', window=DAY),
        count(Kind.TRANSITION, 9_990, "<b>", '" onmouseover="x', window=DAY),
        count(Kind.DWELL, 9_990, "</title><i>", "0-10s", window=DAY),
    )
    room.clock.at += FRESH_SECONDS + 0.01
    text = await page(room)
    assert "<svg onload" not in text and "<b>" not in text and '" onmouseover="' not in text
    assert "<i>" not in text and "&lt;/title&gt;&lt;i&gt;" in text


async def test_floors_are_told_as_floors(room: Room) -> None:
    text = await page(room)
    assert "at least <strong>10</strong> different visitors" in text
    assert "at least 40, perhaps as many as 49" in text
    numbers = re.findall(r'<td class="number">(.*?)</td>', text)
    counted = [each for each in numbers if "floor" in each]
    scores = [each for each in numbers if "floor" not in each]
    assert len(counted) > 40 and all('<span class="floor">≥</span>' in each for each in counted)
    assert all(re.fullmatch(r"[\d,]+\.\d×?", each) for each in scores)


async def test_what_was_left_out_is_one_number_and_its_reason(room: Room) -> None:
    assert "At least <strong>1,000</strong> contributions of this day were left out" in await page(room)
    room.desk.publish(Dropped(SHOP, "2026-11-20", 0), count(Kind.PRODUCT, 10, "x", window="2026-11-19"))
    room.clock.at += FRESH_SECONDS + 0.01
    assert "<strong>Fewer than 100</strong> contributions" in await page(room, "?day=2026-11-20")
    assert "is said when all of the day has closed" in await page(room, "?day=2026-11-19")


async def test_a_day_without_a_crowd_says_so_for_each_statistic(room: Room) -> None:
    room.desk.publish(Dropped(SHOP, "2026-11-20", 90))
    text = await page(room, "?day=2026-11-20")
    assert text.count("No crowd: nothing that at least 10 visitors") == 5
    assert "At least <strong>90</strong>" in text


async def test_an_empty_shop_says_when_there_will_be_something() -> None:
    room = Room()
    text = await page(room)
    assert "Nothing has been published yet" in text and "at least 10 different visitors" in text
    assert "<svg" not in text and 'id="privacy"' in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", DAY), (f"?day={DAY_BEFORE}", DAY_BEFORE), ("?day=2020-01-01", DAY), ("?day=Quxolotl", DAY),
        (f"?day={DAY}T10", DAY), ("?day=%FF&hour=%00", DAY), (f"?day={DAY}&hour=99", DAY), ("?" + "x" * 5_000, DAY),
    ],
)  # fmt: skip
async def test_a_day_is_chosen_or_the_latest_is_shown(room: Room, query, shown) -> None:
    text = await page(room, query)
    assert f"<option selected>{shown}</option>" in text
    assert "Quxolotl" not in text


async def test_hours_are_shown_one_at_a_time_and_never_added(room: Room) -> None:
    day = "2026-11-23"
    room.desk.publish(
        count(Kind.SEARCH, 20, "morning", window=f"{day}T09"), count(Kind.SEARCH, 30, "noon", window=f"{day}T12"),
        count(Kind.PRODUCT, 40, "Egg timer", window=day),
    )  # fmt: skip
    latest, earlier = await page(room), await page(room, f"?day={day}&hour=09")
    assert "noon" in latest and "morning" not in latest and "Searched for, 12:00–12:59 UTC" in latest
    assert "morning" in earlier and "noon" not in earlier
    assert "By the hour: searches." in latest and "Egg timer" in latest


async def test_numbers_of_another_crowd_are_pointed_out(room: Room) -> None:
    assert "under another crowd" not in await page(room)
    room.desk.publish(Dropped(SHOP, DAY, 1_005))  # no count
    room.clock.at += FRESH_SECONDS + 0.01
    assert "under another crowd" not in await page(room)
    room.desk.publish(count(Kind.PRODUCT, 45, "Odd", window=DAY))
    room.clock.at += FRESH_SECONDS + 0.01
    assert "under another crowd" in await page(room)


async def test_every_drawing_has_a_title_a_description_and_a_table(room: Room) -> None:
    text = await page(room)
    drawings = re.findall(r"<svg (.*?)>(.*?)</svg>", text, re.DOTALL)
    assert len(drawings) > 30
    for attributes, inside in drawings:
        if 'aria-hidden="true"' in attributes:
            continue
        assert 'role="img"' in attributes
        named = re.search(r'aria-labelledby="(\S+) (\S+)"', attributes)
        assert named and f'<title id="{named[1]}">' in inside and f'<desc id="{named[2]}">' in inside
    for place, target, number in (("(entry)", "/", "1,420"), ("/p/{item}", "/cart", "310")):
        row = rf'<th scope="row">{re.escape(place)}</th><td>{re.escape(target)}</td>(?:(?!</tr>).)*?{number}</td>'
        assert re.search(row, text, re.DOTALL)
    assert len(re.findall(r"<caption>", text)) == len(re.findall(r"<table", text))


async def test_the_style_sheet_is_named_after_its_contents(room: Room) -> None:
    path = re.search(r'href="(/style-\w+\.css)"', (await room.http.get("/sign-in")).text)[1]
    answer = await room.http.get(path)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert (await room.http.get("/style-0.css")).status_code == 404


async def test_what_is_no_page_is_told_apart_from_what_has_no_such_method(room: Room) -> None:
    assert (await room.http.get("/Quxolotl")).status_code == 404
    assert "Quxolotl" not in (await room.http.get("/Quxolotl")).text
    assert (await room.http.post("/")).status_code == 405
    assert (await room.http.get("/sign-out")).status_code == 405
