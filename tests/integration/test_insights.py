"""Insights as a process: what is published on Kafka is read over HTTP, once, and by nobody else."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from playwright.async_api import expect

from schemas.clicks import Kind
from schemas.envelope import Envelope
from schemas.privacy import Event
from schemas.statistics import Counted, Listed, Listing, MassDropped, Recommended
from schemas.topics import RECOMMENDATIONS, STATISTICS
from services.kernel.ids import random_id
from tests.fixtures.browser import DESKTOP, a_page, chromium
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform

pytestmark = pytest.mark.slow

DAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
PATIENCE_SECONDS = 30.0


@dataclass
class Reading:
    """A shop of a test's own, and whoever reads its numbers."""

    platform: Platform
    shop: str
    token: str

    @property
    def state(self) -> Path:
        return self.platform.stack.state

    def get(self, path: str, **headers: str) -> httpx.Response:
        with httpx.Client(base_url=self.platform.stack.insights_url, timeout=10, trust_env=False) as http:
            return http.get(path, headers={"authorization": f"Bearer {self.token}"} | headers)

    def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        """Ask until the answer is what is waited for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self.get(path)
                if answer.status_code == 200 and true(answer.json()):
                    return answer.json()
            except httpx.TransportError:
                answer = None
            assert time.monotonic() < deadline, answer and answer.text
            time.sleep(0.2)

    def viewed(self, count: int, cell: str, kind: Kind = Kind.PRODUCT) -> Counted:
        return Counted(storefront=self.shop, kind=kind, window=DAY, cell=cell, count=count)

    def hot(self, *items: str, through: str = DAY) -> Recommended:
        listed = tuple(Listed(cell=each, score=10.0 - number) for number, each in enumerate(items))
        return Recommended(storefront=self.shop, listing=Listing.HOT, through=through, items=listed)

    def publish(self, principal: str, topic: str, events: Sequence[tuple[str, Event]]) -> None:
        """Write events, with their ids, as the worker that may."""
        producer = Producer({**self.platform.stack.kafka_settings(principal), "enable.idempotence": True})
        failed: list[object] = []
        for id_, event in events:
            headers = Envelope(id=id_, type=event.type, source=f"/workers/{principal}").headers()
            producer.produce(
                topic, key=self.shop, value=event.model_dump_json(exclude_none=True), headers=headers,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )  # fmt: skip
        assert producer.flush(30) == 0 and failed == []

    def counted(self, *events: Event) -> None:
        self.publish("clickstream", STATISTICS.name, [(random_id(), each) for each in events])

    def listed(self, *events: Event) -> None:
        self.publish("recommendations", RECOMMENDATIONS.name, [(random_id(), each) for each in events])


@pytest.fixture
def reading(whole_platform: Platform) -> Iterator[Reading]:
    shop = "shop-" + random_id()[:8]
    token = lethe(whole_platform.stack.state, "insights", "add", shop)["token"]
    yield Reading(whole_platform, shop, token)
    lethe(whole_platform.stack.state, "insights", "revoke", shop)


def test_a_late_list_that_knows_less_changes_nothing(reading: Reading) -> None:
    """No count is published for this shop: the platform's own recommendations would make lists of it too."""
    last = reading.hot("last").model_copy(update={"listing": Listing.TRENDING})
    reading.listed(reading.hot("b", "a"), reading.hot("old", through="2026-01-01"), last)
    reading.until("/v1/trending", lambda said: said["items"] != [])
    assert [each["item"] for each in reading.get("/v1/hot").json()["items"]] == ["b", "a"]


def test_what_is_published_is_read_once_however_often_it_is_said(reading: Reading) -> None:
    """The same records again change nothing."""
    counts = [(random_id(), reading.viewed(10 * (number + 1), f"item {number}")) for number in range(200)]
    reading.publish("clickstream", STATISTICS.name, counts)
    reading.publish("clickstream", STATISTICS.name, counts)
    reading.counted(reading.viewed(20, "last", Kind.SEARCH))
    reading.until("/v1/statistics/search", lambda said: said["counts"] != [])
    told = [
        each
        for page in (1, 2, 3)
        for each in reading.get(f"/v1/statistics/product?limit=90&page={page}").json()["counts"]
    ]
    assert told == [{"cell": [f"item {n}"], "at_least": 10 * (n + 1)} for n in reversed(range(200))]


def test_a_killed_reader_has_lost_and_doubled_nothing(reading: Reading) -> None:
    """kill -9 among thousands of counts; whoever takes over goes on behind what was stored."""
    reading.counted(*(reading.viewed(10 * (number % 50 + 1), f"item {number}") for number in range(3_000)))
    reading.platform.stack.kill("insights-1")
    reading.counted(reading.viewed(20, "last", Kind.SEARCH))
    reading.platform.stack.restart("insights-1")
    reading.until("/v1/statistics/search", lambda said: said["counts"] != [])
    pages = [reading.get(f"/v1/statistics/product?limit=1000&page={n}").json() for n in (1, 2, 3)]
    told = {each["cell"][0]: each["at_least"] for page in pages for each in page["counts"]}
    assert told == {f"item {number}": 10 * (number % 50 + 1) for number in range(3_000)}
    assert pages[-1]["more"] is False


def test_a_list_is_told_again_only_when_it_has_changed(reading: Reading) -> None:
    reading.listed(reading.hot("a"))
    reading.until("/v1/hot", lambda said: said["items"] != [])
    tag = reading.get("/v1/hot").headers["etag"]
    assert reading.get("/v1/hot", **{"if-none-match": tag}).status_code == 304
    reading.listed(reading.hot("b", "a"))
    reading.until("/v1/hot", lambda said: len(said["items"]) == 2)
    assert reading.get("/v1/hot", **{"if-none-match": tag}).status_code == 200


def test_a_revoked_token_reads_nothing_within_five_seconds(reading: Reading) -> None:
    """And it never could do anything but read."""
    assert reading.get("/v1/hot").status_code == 200
    order = httpx.post(
        f"{reading.platform.stack.gateway_url}/v1/events", json=[], timeout=10,
        headers={"authorization": f"Bearer {reading.token}"}, trust_env=False,
    )  # fmt: skip
    assert order.status_code == 401
    assert lethe(reading.state, "insights", "revoke", reading.shop) == {"revoked": True}
    revoked_at = time.monotonic()
    while reading.get("/v1/hot").status_code != 401:
        assert time.monotonic() < revoked_at + 6
        time.sleep(0.2)
    assert lethe(reading.state, "insights", "revoke", reading.shop, expect=1) == {"revoked": False}
    again = lethe(reading.state, "insights", "add", reading.shop)
    assert again["token"] != reading.token
    assert lethe(reading.state, "insights", "add", reading.shop, expect=3)["code"] == "reader-exists"
    listed = {each["id"]: each["revoked_at"] for each in lethe(reading.state, "insights", "list")}
    assert listed[reading.shop] is None


async def test_a_merchandiser_sees_it_in_a_browser(reading: Reading, tool: Callable[[str], str]) -> None:
    reading.counted(
        reading.viewed(40, "Bread knife"), reading.viewed(30, "bread", Kind.SEARCH),
        reading.viewed(80, "(entry)\t/p/{item}", Kind.TRANSITION), reading.viewed(20, "/p/{item}\t0-10s", Kind.DWELL),
        MassDropped(storefront=reading.shop, day=DAY, mass=70),
    )  # fmt: skip
    reading.until("/v1/statistics", lambda said: len(said["kinds"]) == 4 and said["dropped"] != [])
    async with chromium(tool) as browser, a_page(browser, java_script_enabled=False, **DESKTOP) as page:
        await page.goto(reading.platform.stack.insights_url)
        await page.fill("#token", reading.token)
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text(reading.shop)
        for text in ("Bread knife", "bread", "/p/{item}"):
            await expect(page.get_by_text(text, exact=True).first).to_be_visible()
        await expect(page.get_by_text("At least 70 contributions")).to_be_visible()
        assert page.complaints == []
