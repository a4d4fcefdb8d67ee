"""The numbers over HTTP: who may read which, what is asked, and what an answer never says."""

import asyncio

import httpx
import pytest

from schemas.clicks import Kind
from schemas.statistics import Listing
from services.insights.library import Library
from services.insights.numbers import FRESH_SECONDS
from services.kernel.telemetry import metrics
from tests.unit.insights_room import (
    ALSO_VIEWED,
    DAY,
    DAY_BEFORE,
    HOT,
    ORIGIN,
    OTHER_TOKEN,
    PRODUCTS,
    TOKEN,
    Room,
    a_day,
    count,
    ranking,
)

BOARD = "/v1/recommendations?item=Oak%20chopping+board"


@pytest.fixture
def room() -> Room:
    made = Room()
    made.desk.publish(*a_day())
    return made


async def test_a_list_is_told_with_its_window(room: Room) -> None:
    answer = await room.get("/v1/hot?limit=2")
    assert answer.status_code == 200
    assert answer.json() == {
        "listing": "hot",
        "of": None,
        "through": DAY,
        "items": [{"item": name, "score": score} for name, score in HOT[:2]],
    }
    trending = (await room.get("/v1/trending")).json()
    assert trending["items"][0] == {"term": "jam jars", "score": 4.2}


async def test_a_list_that_does_not_exist_is_an_empty_one(room: Room) -> None:
    """A shop's page must not break over a product that nobody views."""
    answer = (await room.get("/v1/recommendations?item=nothing")).json()
    assert answer == {"listing": "also-viewed", "of": "nothing", "through": None, "items": []}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("&personal=no", {}),
        ("", {"sec-gpc": "1"}),
        ("", {"dnt": "1"}),
        ("", {"sec-gpc": "0, 1"}),
        ("&personal=yes", {"sec-gpc": " 1 "}),
    ],
)
async def test_who_refused_gets_the_shop_wide_list_in_the_same_shape(room: Room, query, headers) -> None:
    """A refusal in a header is stronger than a word in the query."""
    before = metrics.PERSONAL_REFUSED._value.get()
    answer = await room.get(BOARD + query, **headers)
    assert answer.json() == (await room.get("/v1/hot")).json()
    assert answer.json().keys() == (await room.get(BOARD)).json().keys()
    assert metrics.PERSONAL_REFUSED._value.get() == before + 1


@pytest.mark.parametrize("headers", [{"sec-gpc": "0"}, {"dnt": "0"}, {"sec-gpc": "true"}, {"dnt": "null"}])
async def test_any_other_value_of_a_signal_says_nothing(room: Room, headers) -> None:
    answer = (await room.get(BOARD, **headers)).json()
    assert answer["items"] == [{"item": name, "score": score} for name, score in ALSO_VIEWED]


async def test_counts_are_told_page_by_page_in_one_order(room: Room) -> None:
    told = []
    for page in range(1, 5):
        answer = (await room.get(f"/v1/statistics/product?window={DAY}&limit=4&page={page}")).json()
        told += answer["counts"]
        assert answer["more"] == (page < 3)
    assert told == [{"cell": [name], "at_least": number} for name, number in PRODUCTS]
    assert {"kind": "product", "window": DAY, "crowd": 10}.items() <= answer.items()


async def test_the_latest_window_is_meant_where_none_is_named(room: Room) -> None:
    room.desk.publish(
        count(Kind.SEARCH, 20, "late", window="2026-11-23T09"), count(Kind.SEARCH, 10, "later", window="2026-11-23T10")
    )  # fmt: skip
    answer = (await room.get("/v1/statistics/search")).json()
    assert (answer["window"], answer["counts"]) == ("2026-11-23T10", [{"cell": ["later"], "at_least": 10}])
    assert (await room.get(f"/v1/statistics/search?window={DAY_BEFORE}")).json()["counts"] == []


async def test_a_cell_is_told_in_its_parts(room: Room) -> None:
    counts = (await room.get("/v1/statistics/transition?limit=1")).json()["counts"]
    assert counts == [{"cell": ["(entry)", "/"], "at_least": 1_420}]


async def test_the_overview_tells_windows_and_what_was_dropped(room: Room) -> None:
    answer = (await room.get("/v1/statistics")).json()
    assert answer["dropped"] == [{"day": DAY, "at_least": 1_000}]
    assert answer["kinds"] == {kind.value: [DAY] for kind in sorted(Kind)}


@pytest.mark.parametrize("path", ["/v1/hot", BOARD, "/v1/statistics", "/v1/statistics/product"])
async def test_one_shop_reads_nothing_of_another(room: Room, path) -> None:
    mine, theirs = await room.get(path), await room.get(path, OTHER_TOKEN)
    assert theirs.status_code == 200
    assert len(theirs.content) < len(mine.content)
    assert not theirs.json().get("items") and not theirs.json().get("counts")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic token-of-the-bookshop"])
async def test_nobody_reads_without_a_token(room: Room, authorization) -> None:
    answer = await room.http.get("/v1/hot", headers={"authorization": authorization})
    assert (answer.status_code, answer.json()) == (401, {"code": "token-wrong"})
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"


async def test_who_has_the_answer_is_told_only_that(room: Room) -> None:
    first = await room.get("/v1/hot")
    tag = first.headers["etag"]
    for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await room.get("/v1/hot", if_none_match=said)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag and again.headers["cache-control"] == "private, no-cache"
    assert (await room.get("/v1/hot", if_none_match='"other"')).status_code == 200
    assert (await room.get("/v1/hot", if_none_match=f"{'x' * 3_000}, {tag}")).status_code == 200


async def test_a_new_list_has_a_new_tag_within_seconds(room: Room) -> None:
    tag = (await room.get("/v1/hot")).headers["etag"]
    room.desk.publish(ranking(Listing.HOT, ("Egg timer", 9.0), through="2026-11-23"))
    room.clock.at += FRESH_SECONDS + 0.01
    answer = await room.get("/v1/hot", if_none_match=tag)
    assert (answer.status_code, answer.json()["items"]) == (200, [{"item": "Egg timer", "score": 9.0}])


async def test_answers_are_kept_apart_for_who_refused(room: Room) -> None:
    """A cache in between must not hand the one's answer to the other."""
    answer = await room.get(BOARD)
    assert {"authorization", "sec-gpc", "dnt"} <= set(answer.headers["vary"].split(", "))
    refused = await room.get(BOARD, sec_gpc="1", if_none_match=answer.headers["etag"])
    assert refused.status_code == 200


async def test_many_who_ask_the_same_are_one_question_to_the_database(room: Room) -> None:
    await asyncio.gather(*(room.get("/v1/hot") for _ in range(50)))
    assert room.desk.readings == 1
    room.clock.at += FRESH_SECONDS + 0.01
    await asyncio.gather(*(room.get("/v1/hot") for _ in range(50)))
    assert room.desk.readings == 2


async def test_without_the_database_nothing_is_made_up(room: Room) -> None:
    room.desk.away = True
    answer = await room.get("/v1/hot")
    assert (answer.status_code, answer.json()) == (503, {"code": "store-unavailable"})
    assert int(answer.headers["retry-after"]) > 0
    room.desk.away = False
    assert (await room.get("/v1/hot")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/hot?limit=0", 422, "limit-wrong"),
        ("/v1/hot?limit=101", 422, "limit-wrong"),
        ("/v1/hot?limit=%D9%A3", 422, "limit-wrong"),
        ("/v1/hot?limit=1e1", 422, "limit-wrong"),
        ("/v1/hot?limit=", 422, "limit-wrong"),
        ("/v1/hot?limit=1&limit=1", 422, "parameter-repeated"),
        ("/v1/hot?personl=no", 422, "parameter-unknown"),
        ("/v1/recommendations", 422, "item-missing"),
        ("/v1/recommendations?item=", 422, "item-wrong"),
        ("/v1/recommendations?item=a%09b", 422, "item-wrong"),
        ("/v1/recommendations?item=a%00", 422, "item-wrong"),
        ("/v1/recommendations?item=a%0A", 422, "item-wrong"),
        ("/v1/recommendations?item=%FF", 422, "query-wrong"),
        ("/v1/recommendations?item=%ED%A0%80", 422, "query-wrong"),
        (f"/v1/recommendations?item={'x' * 2_000}", 422, "query-wrong"),
        (f"/v1/recommendations?item={'x' * 121}", 422, "item-wrong"),
        ("/v1/recommendations?item=a&personal=maybe", 422, "personal-wrong"),
        ("/v1/recommendations?item=a&personal=", 422, "personal-wrong"),
        ("/v1/statistics?window=2026-11-22", 422, "parameter-unknown"),
        ("/v1/statistics/", 404, "kind-unknown"),
        ("/v1/statistics/orders", 404, "kind-unknown"),
        ("/v1/statistics/product/x", 404, "kind-unknown"),
        ("/v1/statistics/product?window=2026-02-30", 422, "window-wrong"),
        ("/v1/statistics/product?window=2026-11-22T25", 422, "window-wrong"),
        ("/v1/statistics/product?window=", 422, "window-wrong"),
        ("/v1/statistics/product?window=2026-11-22%0A", 422, "window-wrong"),
        ("/v1/statistics/product?window=%D9%A2026-11-22", 422, "window-wrong"),
        ("/v1/statistics/product?limit=1001", 422, "limit-wrong"),
        ("/v1/statistics/product?page=0", 422, "page-wrong"),
        ("/v1/statistics/product?page=1001", 422, "page-wrong"),
        ("/v1/hot?" + "&".join(f"a{n}=1" for n in range(9)), 422, "query-wrong"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_a_code_alone(room: Room, path, status, code) -> None:
    url = httpx.URL(ORIGIN).copy_with(raw_path=path.encode())
    answer = await room.http.get(url, headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json()) == (status, {"code": code})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_numbers_are_only_read(room: Room, method) -> None:
    answer = await room.http.request(method, "/v1/hot", headers={"authorization": "Bearer x"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_fault_is_answered_and_says_nothing(room: Room, monkeypatch, capsys) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("Oak chopping board")

    monkeypatch.setattr(room.desk, "ranking", broken)
    answer = await room.get(BOARD)
    assert (answer.status_code, answer.json()) == (500, {"code": "internal"})
    assert "Oak" not in capsys.readouterr().out
    monkeypatch.undo()
    assert (await room.get(BOARD)).status_code == 200


async def test_the_route_is_counted_and_never_what_was_asked(room: Room) -> None:
    counter = metrics.HTTP_REQUESTS.labels(route="/v1/statistics/{kind}", status="404")
    before = counter._value.get()
    await room.get("/v1/statistics/Quxolotl")
    assert counter._value.get() == before + 1
    assert all("Quxolotl" not in str(labels) for labels in metrics.HTTP_REQUESTS._metrics)


async def test_answers_take_no_more_memory_than_they_may(room: Room) -> None:
    """The oldest goes first, and one that was made again weighs once."""
    made: list[int] = []

    async def make(key: int) -> bytes:
        made.append(key)
        return bytes(100)

    library = Library(make, room.clock, 10, len, most_bytes=1_000)
    for key in range(12):
        await library.get(key)
    assert [library.ready(key) is not None for key in range(12)] == [False] * 2 + [True] * 10
    for _ in range(30):
        room.clock.at += 11
        await library.get(11)
    assert library._bytes == 1_000 and made.count(11) == 31


async def test_who_hangs_up_takes_the_answer_from_nobody(room: Room) -> None:
    go = asyncio.Event()

    async def make(key: int) -> bytes:
        await go.wait()
        return b"answer"

    library = Library(make, room.clock)
    first, second = (asyncio.create_task(library.get(1)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    go.set()
    assert await second == b"answer"
