"""The same attacks on what a running platform has written: its topic, and the tables of who counts (C3)."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from schemas.clicks import Kind
from schemas.topics import CLICKS
from services.gateway.clicks.cells import cells_of
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.gateway.clicks.tags import Visitor as Tagger
from services.kernel.sealing.keys import KEY_BYTES
from services.kernel.sealing.tagging import TagKey
from tests.attacks import linking
from tests.attacks.played import HandClock
from tests.attacks.results import Result, keep
from tests.attacks.seen import Contribution, Raw, Stream, Truth, opened_of, read
from tests.attacks.visits import Shape, Visit, day_of, needs_data
from tests.fixtures import evidence
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform

pytestmark = needs_data
ORIGIN = "https://corner.example"
PAGES = 500
ROWS = """
    SELECT cell.named AS id, cell.sealed, contribution.tag, contribution.share, cell.kind, cell."window", cell.lane
    FROM clickstream.contribution JOIN clickstream.cell ON cell.id = contribution.cell
    WHERE cell.storefront = $1 ORDER BY contribution.ctid
"""


@dataclass
class Lived:
    """An hour of a shop on a real platform, and what it left."""

    stack: Stack
    site: Site
    visits: list[Visit]
    material: bytes
    topic: Stream
    table: Stream


@pytest.fixture(scope="module")
def lived(whole_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    stack, name = whole_platform.stack, whole_platform.new_name("shop")
    day = day_of(Shape("platform", share=0.3, products=40))
    visits = [visit for visit in day.visits if visit.at.hour == 12][:PAGES]
    site = Site(storefront=name, origins=(ORIGIN,), routes=day.site.routes)
    _open(stack, site, tmp_path_factory.mktemp("site"))
    with httpx.Client() as browser:
        for visit in visits:
            assert _collect(browser, stack, name, visit) == 202
    (key,) = evidence.rows(evidence.dsn_of(stack, "keyring"), "SELECT material FROM keyring.tag_key")
    stack.restart("gateway-1")
    raw = list(_records(stack, name))
    cells, sealed = read(raw)
    assert {cell.kind for cell in cells} == set(Kind)
    truth = _truth(cells, visits, site, key["material"])
    await_("everything is counted", lambda: len(_rows(stack, name)) == len(cells))
    topic = Stream("topic", raw, cells, truth, sealed)
    return Lived(stack, site, visits, key["material"], topic, Stream("table", (), _rows(stack, name), truth))


@pytest.mark.parametrize("place", ["topic", "table"])
def test_nothing_is_linked_in_what_is_really_there(lived: Lived, place: str) -> None:
    """By tag, by neighbours in the log or the table, by transitions: as good as guessing."""
    stream: Stream = getattr(lived, place)
    assert len({stream.truth.visitor(cell) for cell in stream.cells}) > 30
    results: dict[str, Result] = {
        "tags": linking.by_tag(stream),
        "neighbours": linking.by_neighbour(stream),
        "transitions": linking.by_chain(stream, "transition"),
    }
    keep(f"on a running platform, its {place}", **results)
    assert results["tags"].claims > 300
    assert results["neighbours"].claims > 100
    assert results["transitions"].claims > 100
    assert not [name for name, result in results.items() if result.surely_wins]


def test_there_is_an_order_to_be_hidden(lived: Lived) -> None:
    """The same cells in the order in which they came in are broken at once: the attack works on this data."""
    topic = lived.topic
    by_coming = sorted(topic.cells, key=lambda cell: topic.truth.when[cell.id, cell.tag])
    in_order = [cell._replace(position=at, lane=0) for at, cell in enumerate(by_coming)]
    result = linking.by_neighbour(Stream("in order", (), in_order, topic.truth))
    keep("on a running platform, unshuffled", naive=result)
    assert result.wins


def test_the_table_says_no_text_that_a_crowd_did_not_open(lived: Lived) -> None:
    """Neither do the records: whatever has fewer visitors is sealed in both."""
    opened = {cell.id for cell in (*lived.topic.cells, *lived.table.cells) if cell.text is not None}
    few = {name for name, (_, shares) in lived.topic.sealed.items() if len(shares) < 10}
    assert few
    assert not opened & few
    for raw in lived.topic.raw:
        assert {"id", "kind", "sealed", "share", "tag", "window"} == json.loads(raw.value)["cells"][0].keys()


def test_no_secret_that_stays_makes_a_tag(lived: Lived) -> None:
    """Every password, token and key file is tried for the tag key; the tag key itself finds everybody."""
    tags = {cell.tag for cell in lived.topic.cells}
    visits = lived.visits[:100]
    window = lived.topic.cells[0].window
    assert _made(lived.material, visits, lived.site, window) & tags
    folders = (lived.stack.layout.secrets, lived.stack.layout.keks)
    contents = [
        path.read_bytes().strip() for folder in folders for path in folder.rglob("*") if path.is_file()
    ]
    assert len(contents) > 20
    for content in contents:
        for material in {content[:KEY_BYTES], hashlib.sha256(content).digest()}:
            if len(material) == KEY_BYTES:
                assert not _made(material, visits[:20], lived.site, window) & tags


def _made(material: bytes, visits: list[Visit], site: Site, window: str) -> set[str]:
    """Return the tags that somebody makes who takes this for the key."""
    key = TagKey(1, material, 86_400.0, HandClock())
    return {
        Tagger(key, site.storefront, "127.0.0.1", _agent(visit)).tag(kind, window, text)
        for visit in visits
        for kind, text in _texts(visit, site)
    }


def _open(stack: Stack, site: Site, folder: Path) -> None:
    said = {"origins": [ORIGIN], "routes": list(site.routes)}
    (folder / "site.json").write_text(json.dumps(said))
    lethe(stack.state, "sites", "set", site.storefront, "--file", str(folder / "site.json"))


def said_of(page: Page) -> dict[str, Any]:
    """Return what the snippet says of a page: a search is an event, like what was done there."""
    searched = [{"name": "search", "params": {"search_term": page.term}}] if page.term else []
    return {
        "page_location": page.location,
        "page_referrer": page.referrer,
        "engagement_time_msec": int((page.visible_seconds or 0) * 1000),
        "events": [*searched, *({"name": each.name, "params": {}} for each in page.interactions)],
    }


def _collect(browser: httpx.Client, stack: Stack, shop: str, visit: Visit) -> int:
    answer = browser.post(
        f"{stack.gateway_url}/v1/collect?shop={shop}",
        content=json.dumps(said_of(visit.page)),
        headers={"content-type": "text/plain;charset=UTF-8", "origin": ORIGIN, "user-agent": _agent(visit)},
    )
    return answer.status_code


def _agent(visit: Visit) -> str:
    """Return what tells visitors apart here, where all have one address."""
    return f"{visit.visitor.agent} Visitor/{visit.visitor.number}"


def _records(stack: Stack, shop: str) -> Iterator[Raw]:
    for entry in evidence.read(stack, [CLICKS.name]):
        if json.loads(entry.value or b"{}").get("storefront") == shop:
            headers = tuple((name, value.encode()) for name, value in entry.headers.items())
            yield Raw(
                0,
                entry.partition,
                entry.offset,
                entry.time_ms,
                entry.key.encode(),
                headers,
                entry.value or b"",
            )


def _rows(stack: Stack, shop: str) -> list[Contribution]:
    """Return the contributions as they lie in the table's file, opened where a crowd shares them."""
    found = evidence.rows(evidence.dsn_of(stack, "clickstream"), ROWS, shop)
    _, texts = opened_of(dict(row) | {name: row[name].decode() for name in ("tag", "share")} for row in found)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [
        Contribution(
            at,
            0,
            row["lane"],
            0,
            hour,
            row["kind"],
            row["window"],
            row["id"],
            row["tag"].decode(),
            texts[row["id"]],
        )
        for at, row in enumerate(found)
    ]


def _truth(cells: list[Contribution], visits: list[Visit], site: Site, material: bytes) -> Truth:
    """Return whose tags these are, and who came before whom: everybody's tag is tried for every text there was."""
    key = TagKey(1, material, 86_400.0, HandClock())
    windows = {cell.window for cell in cells}
    made: dict[str, tuple[int, datetime]] = {}
    for visit, window in itertools.product(visits, windows):
        tagger = Tagger(key, site.storefront, "127.0.0.1", _agent(visit))
        for kind, text in _texts(visit, site):
            made.setdefault(tagger.tag(kind, window, text), (visit.visitor.number, visit.at))
    known = {(cell.id, cell.tag): made[cell.tag] for cell in cells}
    return Truth(
        {name: who for name, (who, _) in known.items()}, {name: when for name, (_, when) in known.items()}
    )


def _texts(visit: Visit, site: Site) -> list[tuple[Kind, str]]:
    """Return what the page can have become; a message says with which product something was done, or does not."""
    bare = tuple(replace(each, item="") for each in visit.page.interactions)
    return [*cells_of(visit.page, site), *cells_of(replace(visit.page, interactions=bare), site)]
