"""Visitors look around a shop: what crowds did is told, exactly and once; what one did is nobody's (C3, U3, R4)."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from schemas.clicks import CROWD
from schemas.topics import CLICKS
from tests.fixtures import evidence
from tests.fixtures.evidence import Entry, await_
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform

ORIGIN = "https://shop.example"
SITE = {"origins": [ORIGIN], "routes": ["/", "/search", "/p/{item}"], "search_parameter": "q"}
VISITORS, SEARCHERS = 2 * CROWD - 1, 2 * CROWD - 2
"""One or two more, those who refuse, would make a second crowd; who searches for something else is alone."""
REFUSALS = ({"sec-gpc": "1"}, {"dnt": "1"})
CROWDED = (
    ("search", "red lamp"),
    ("product", "85123A"),
    ("product", "22423"),
    ("pair", "85123A\t22423"),
    ("transition", "/\t/search"),
    ("transition", "/search\t/p/{item}"),
    ("transition", "/p/{item}\t/p/{item}"),
    ("dwell", "/p/{item}\t30-60s"),
    ("interaction", "share\t(none)"),
)
"""Every cell that more than one visitor contributes to."""
CONTRIBUTIONS = VISITORS * len(CROWDED)
LEAVES_SECONDS = 60.0


def word() -> str:
    """Return a word that stands nowhere else, and that no pattern takes for a number."""
    return "".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(8))


@dataclass
class Shop:
    """A shop whose pages are counted, and what must be found nowhere."""

    stack: Stack
    name: str
    browser: httpx.Client
    token: str = ""
    rare: str = field(default_factory=lambda: f"{word()} {word()}")
    """What one visitor searches for."""
    refused: str = field(default_factory=lambda: f"{word()} {word()}")
    """What those search for who refuse."""
    agent: str = field(default_factory=word)
    """In the user agent of every browser."""
    identity: str = field(default_factory=word)
    """In every field that could say who somebody is."""

    def visit(self, number: int, term: str, headers: Mapping[str, str] | None = None) -> set[int]:
        """Let one visitor search, look at a product and the next, and carry what trackers carry; return the answers."""
        who = {"user_id": self.identity, "client_id": self.identity, "email": f"{self.identity}@mail.example"}
        answers = set()
        search = f"/search?q={term.replace(' ', '+')}&gclid={self.identity}"
        for page in (
            {"page_location": search, "page_referrer": "/"},
            {"page_location": "/p/85123A", "page_referrer": search, "engagement_time_msec": 31_000},
            {"page_location": f"/p/22423?ref={self.identity}", "page_referrer": "/p/85123A"},
        ):
            answer = self.browser.post(
                f"{self.stack.gateway_url}/v1/collect?shop={self.name}",
                content=json.dumps({**page, **who, "events": [{"name": "share", "params": who}]}),
                headers={
                    "content-type": "text/plain;charset=UTF-8",
                    "origin": ORIGIN,
                    "user-agent": f"Mozilla/5.0 (rv:{number}) {self.agent}",
                    "cookie": f"session={self.identity}",
                    **(headers or {}),
                },
            )
            answers.add(answer.status_code)
        return answers

    def statistics(self) -> dict[str, list[dict[str, Any]]]:
        """Return what the operator is shown of this shop."""
        told: dict[str, list[dict[str, Any]]] = lethe(
            self.stack.state, "statistics", "show", "--shop", self.name
        )
        return told

    def numbers(self) -> dict[tuple[str, str], int]:
        """Return what is published, by kind and cell."""
        return {(each["kind"], each["cell"]): each["count"] for each in self.statistics()["statistics"]}

    def records(self) -> list[Entry]:
        """Return the records of this shop's clicks."""
        every = evidence.read(self.stack, [CLICKS.name])
        return [each for each in every if json.loads(each.value or b"{}").get("storefront") == self.name]

    def contributions(self) -> int:
        """Return how many contributions the topic has."""
        return sum(len(json.loads(each.value or b"")["cells"]) for each in self.records())

    def let_leave(self) -> None:
        """Stop the gateway, which lets crowds leave before their hour is over, and start it again."""
        self.stack.restart("gateway-1")

    def ask(self, question: str, **headers: str) -> httpx.Response:
        """Ask for numbers, as the shop's own server does."""
        token = {"authorization": f"Bearer {self.token}", **headers}
        return httpx.get(f"{self.stack.insights_url}/v1/{question}", headers=token)


@pytest.fixture(scope="module")
def shop(whole_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Everybody was there, some refused, and the day is closed."""
    folder = tmp_path_factory.mktemp("clicks")
    with httpx.Client() as browser:
        found = Shop(whole_platform.stack, whole_platform.new_name("shop"), browser)
        _live_through_a_day(found, folder)
        yield found


def _live_through_a_day(found: Shop, folder: Path) -> None:
    state = found.stack.state
    (folder / "site.json").write_text(json.dumps(SITE))
    lethe(state, "sites", "set", found.name, "--file", str(folder / "site.json"))
    found.token = lethe(state, "insights", "add", found.name)["token"]
    _await_a_whole_minute()
    for number in range(VISITORS):
        assert found.visit(number, "red lamp" if number < SEARCHERS else found.rare) == {202}
    # A beacon that comes twice is one visitor's all the same.
    found.visit(0, "red lamp")
    for number, refusal in enumerate(REFUSALS, start=VISITORS):
        assert found.visit(number, "red lamp", refusal) == {204}
        assert found.visit(number, found.refused, refusal) == {204}
    found.let_leave()
    assert found.contributions() == CONTRIBUTIONS
    lethe(state, "statistics", "close", "--shop", found.name)
    await_("the day is published", lambda: found.statistics()["dropped"], LEAVES_SECONDS)


def _await_a_whole_minute() -> None:
    """Crowds leave by the hour: half of one before its end and half after it would be two that are none."""
    left = 3_600 - time.time() % 3_600
    if left < 60:
        time.sleep(left)


def test_what_crowds_did_is_told_exactly_and_what_few_did_is_not(shop: Shop) -> None:
    """Each cell's different visitors, rounded down; no repeat, refusal or rare search makes a number (C3, U3)."""
    assert shop.numbers() == dict.fromkeys(CROWDED, CROWD)
    assert [each["mass"] for each in shop.statistics()["dropped"]] == [0], (
        "one is no crowd, in the sum either"
    )


def test_lists_are_made_of_these_numbers_alone_and_nobody_needs_one(shop: Shop) -> None:
    """Hot, trending, also viewed; whoever refuses what is made for them gets what everybody gets (U3, R4)."""
    await_("lists", lambda: shop.ask("recommendations?item=85123A").json()["items"], LEAVES_SECONDS)
    hot = [each["item"] for each in shop.ask("hot").json()["items"]]
    assert hot == ["22423", "85123A"]
    assert [each["term"] for each in shop.ask("trending").json()["items"]] == ["red lamp"]
    related = shop.ask("recommendations?item=85123A")
    assert [each["item"] for each in related.json()["items"]] == ["22423"]
    assert (
        shop.ask("recommendations?item=85123A", **{"if-none-match": related.headers["etag"]}).status_code
        == 304
    )
    for refused in (
        shop.ask("recommendations?item=85123A&personal=no"),
        *(shop.ask("recommendations?item=85123A", **refusal) for refusal in REFUSALS),
    ):
        assert [each["item"] for each in refused.json()["items"]] == hot
    assert shop.ask("statistics/search").json()["counts"] == [{"cell": ["red lamp"], "at_least": CROWD}]
    assert shop.ask("statistics").status_code == 200


def test_a_record_says_the_hour_the_shop_and_nothing_of_a_visitor(shop: Shop) -> None:
    """No subject, no trace, no key that two records share beyond the shop's, no finer time than the hour (C3)."""
    records = shop.records()
    assert records
    for record in records:
        assert record.time_ms % 3_600_000 == 0
        assert record.headers["ce_time"].endswith(":00:00Z")
        assert not {"ce_subject", "traceparent", "tracestate"} & record.headers.keys()
        assert record.key in ("", shop.name)
        assert json.loads(record.value or b"").keys() == {"storefront", "key", "cells"}


def test_nothing_of_a_visitor_lies_anywhere(shop: Shop) -> None:
    """No user agent, no tracker's id, no rare search, nothing of who refused: in no topic, table or log (C3, R4)."""
    never = [shop.agent, shop.identity, shop.rare, shop.refused]
    found = lethe(shop.stack.state, "scan", "--text-stdin", stdin="\n".join(never))
    assert found["finds"] == []


def test_what_comes_after_the_day_was_told_changes_nothing(shop: Shop) -> None:
    """A window is published once; a late crowd is counted as late, and no difference tells of it (C3)."""
    before, late = shop.numbers(), _late(shop)
    for number in range(100, 100 + 2 * CROWD):
        shop.visit(number, "red lamp")
    shop.let_leave()
    await_("the late ones are counted as late", lambda: _late(shop) > late, LEAVES_SECONDS)
    assert shop.numbers() == before


def _late(shop: Shop) -> int:
    told = {each["reason"]: each["cells"] for each in shop.statistics()["cells"]}
    return int(told.get("late", 0))
