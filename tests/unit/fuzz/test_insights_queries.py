"""Any question to insights, by the real application: a status and a code, never a value, never a fault (C4, T1)."""

import asyncio
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.insights.app import door
from services.insights.refusals import STATUS
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, NASTY, damaged, nothing_is_told
from tests.unit.insights_room import DAY, TOKEN, Room, a_day

PATHS = [
    b"/v1/hot", b"/v1/trending", b"/v1/recommendations", b"/v1/statistics", b"/v1/statistics/product",
    b"/v1/statistics/" + CANARY.encode(), b"/", b"/sign-in", b"/sign-out", b"/style-0.css",
]  # fmt: skip
QUERIES = [
    b"limit=3", b"item=Oak%20chopping+board&personal=no&limit=10", b"window=" + DAY.encode() + b"&limit=5&page=2",
    b"item=" + CANARY.encode(), b"day=" + DAY.encode() + b"&hour=10", b"window=" + CANARY.encode(), b"",
]  # fmt: skip
FORMS = [b"token=" + TOKEN.encode(), b"token=" + CANARY.encode(), b"token=a%20b&x=1", b""]
HEADERS = {
    b"authorization": [b"Bearer " + TOKEN.encode(), b"Bearer " + CANARY.encode(), b"bearer"],
    b"if-none-match": [b'"x"', b"*", b'W/"x", ' * 40, CANARY.encode()],
    b"sec-gpc": [b"1", b"0"],
    b"dnt": [b"1", b""],
    b"cookie": [b"__Host-lethe=" + CANARY.encode(), b"lethe=x; __Host-lethe=y", b"=;=;"],
    b"origin": [b"http://insights", b"null", b"http://[" + CANARY.encode()],
    b"sec-fetch-site": [b"same-origin", b"cross-site"],
    b"host": [b"insights", b"[::1]:80", b"[", CANARY.encode()],
    b"content-type": [b"application/x-www-form-urlencoded", b"text/plain"],
}
CODE = re.compile(r"[a-z]+(-[a-z]+)*")
STATUSES = {200, 303, 304, 422, *STATUS.values()} - {500, 503}
AUTHORISED = (b"authorization", b"Bearer " + TOKEN.encode())


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def room() -> Room:
    made = Room()
    # As many as may be, or all but the first few forms would meet the limit and nothing else.
    made.app = door(made.settings.model_copy(update={"sign_ins_per_minute": 1_000}), made.desk, made.clock)
    made.desk.publish(*a_day())
    return made


def check(
    runner: asyncio.Runner, room: Room, method: str, path: bytes, query: bytes,
    headers: list[tuple[bytes, bytes]], body: bytes = b"",
) -> tuple[int, bytes]:  # fmt: skip
    """Ask as a server hands it over, also what no client of ours would send; return status and answer."""
    told: list[dict] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path.decode("utf-8", "replace"), "raw_path": path, "query_string": query, "root_path": "",
        "headers": headers, "server": ("insights", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        told.append(message)

    with nothing_is_told():
        runner.run(room.app(scope, receive, send))  # type: ignore[arg-type]
    status, answer = told[0]["status"], b"".join(each.get("body", b"") for each in told)
    assert status in STATUSES, (status, path, query)
    assert CANARY not in repr(told[0]["headers"])
    if (
        path.startswith(b"/v1/")
        and status not in (200, 304)
        and dict(told[0]["headers"])[b"content-type"].startswith(b"application/json")
    ):
        said = json.loads(answer)
        assert said.keys() == {"code"} and CODE.fullmatch(said["code"])
    return status, answer


@given(path=st.sampled_from(PATHS), query=damaged(QUERIES) | st.sampled_from(QUERIES))
@examples(120)
def test_any_query_is_decided(runner: asyncio.Runner, room: Room, path: bytes, query: bytes) -> None:
    status, answer = check(runner, room, "GET", path, query, [AUTHORISED])
    # Only a list of what was asked for names it; a refusal and a page never do.
    if status != 200 or not path.startswith(b"/v1/recommendations"):
        assert CANARY.encode() not in answer


@given(path=damaged(PATHS), method=st.sampled_from(("GET", "HEAD", "POST", "PUT", "OPTIONS", CANARY)))
@examples(80)
def test_any_path_is_decided(runner: asyncio.Runner, room: Room, path: bytes, method: str) -> None:
    _, answer = check(runner, room, method, path, b"", [AUTHORISED])
    assert CANARY.encode() not in answer


@given(
    said=st.lists(
        st.sampled_from(sorted(HEADERS)).flatmap(
            lambda name: st.tuples(st.just(name), damaged(HEADERS[name]) | st.sampled_from(HEADERS[name]))
        ),
        max_size=6,
    ),
    strange=st.lists(st.tuples(st.just(b"x-" + CANARY.encode()), st.sampled_from(NASTY)), max_size=1),
    path=st.sampled_from(PATHS),
    method=st.sampled_from(("GET", "POST")),
    body=damaged(FORMS) | st.sampled_from(FORMS),
)
@examples(120)
def test_any_headers_and_any_form_are_decided(
    runner: asyncio.Runner, room: Room, said, strange, path: bytes, method: str, body: bytes
) -> None:
    _, answer = check(runner, room, method, path, b"", [*said, *strange], body)
    assert CANARY.encode() not in answer
