"""The published description of the numbers says what the door really does."""

import re

import pytest
from jsonschema import Draft202012Validator

from services.insights.openapi import document
from services.insights.refusals import MEANING, Code
from tests.unit.insights_room import DAY, Room, a_day

DOCUMENT = document()
READS = [
    ("/v1/hot", "/v1/hot"), ("/v1/hot", "/v1/hot?limit=1"), ("/v1/trending", "/v1/trending"),
    ("/v1/recommendations", "/v1/recommendations?item=Oak+chopping+board"),
    ("/v1/recommendations", "/v1/recommendations?item=nothing"),
    ("/v1/recommendations", "/v1/recommendations?item=x&personal=no"), ("/v1/statistics", "/v1/statistics"),
    ("/v1/statistics/{kind}", f"/v1/statistics/transition?window={DAY}&limit=3"),
    ("/v1/statistics/{kind}", "/v1/statistics/search?window=2026-01-01"),
]  # fmt: skip
REFUSED = [
    ("/v1/hot", "?limit=0"), ("/v1/hot", "?x=1"), ("/v1/hot", "?limit=1&limit=1"), ("/v1/hot", "?limit=%FF"),
    ("/v1/recommendations", ""), ("/v1/recommendations", "?item="), ("/v1/recommendations", "?item=a&personal=1"),
    ("/v1/statistics", "?x=1"), ("/v1/statistics/{kind}", "?page=0"), ("/v1/statistics/{kind}", "?window=x"),
]  # fmt: skip


def validate(path: str, status: int, body: object) -> None:
    """Check an answer against what is said of it."""
    schema = DOCUMENT["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(body)


@pytest.fixture
def room() -> Room:
    made = Room()
    made.desk.publish(*a_day())
    return made


async def test_the_document_is_served_without_a_token(room: Room) -> None:
    answer = await room.http.get("/openapi.json")
    assert answer.status_code == 200 and answer.json() == DOCUMENT


@pytest.mark.parametrize(("path", "asked"), READS)
async def test_every_answer_has_the_form_that_is_published(room: Room, path: str, asked: str) -> None:
    answer = await room.get(asked)
    validate(path, answer.status_code, answer.json())


@pytest.mark.parametrize(("path", "query"), REFUSED)
async def test_every_refusal_is_described_under_its_status(room: Room, path: str, query: str) -> None:
    answer = await room.get(path.replace("{kind}", "product") + query)
    validate(path, answer.status_code, answer.json())
    said = DOCUMENT["paths"][path]["get"]["responses"][str(answer.status_code)]["description"]
    assert f"`{answer.json()['code']}`" in said


async def test_whatever_is_described_can_be_asked(room: Room) -> None:
    """Each parameter exists under its name, with the default and the bounds that are published."""
    for path, methods in DOCUMENT["paths"].items():
        named = {
            each["name"]: each["schema"] for each in methods["get"]["parameters"] if each["in"] == "query"
        }
        base = path.replace("{kind}", "product") + "?" + ("item=x&" if "item" in named else "")
        for name in ("limit", "page"):
            if name in named:
                assert (await room.get(f"{base}{name}={named[name]['maximum']}")).status_code == 200
                assert (await room.get(f"{base}{name}={named[name]['maximum'] + 1}")).status_code == 422
        whole, first = await room.get(base), await room.get(f"{base}limit=100")
        assert "limit" not in named or whole.json() == first.json()


def test_every_code_has_a_meaning() -> None:
    assert set(MEANING) == set(Code) and all(re.fullmatch(r"[A-Z`].*\.", each) for each in MEANING.values())
