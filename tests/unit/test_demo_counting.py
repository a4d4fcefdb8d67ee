"""What the demo counts by hand, and what its browsers and its merchandiser do."""

import json
import secrets

from schemas.clicks import CROWD, Cell, CellsSeen, Kind
from schemas.privacy import Event
from schemas.statistics import Counted, MassDropped
from services.demo import tallies
from services.demo.browsing import View
from services.demo.log_reader import Record
from services.demo.merchandiser import with_style
from services.demo.visitors import SITE, Browsers, messages
from services.gateway.clicks.adapters import ga4
from services.gateway.clicks.bots import Bots
from services.gateway.clicks.cells import cells_of
from services.gateway.clicks.pages import pages_of
from services.gateway.clicks.site import Site
from services.kernel.clock import SystemClock
from services.kernel.sealing.crowds import CrowdSealed
from services.kernel.sealing.tagging import TagKey

DAY = "2026-11-23"
SHOP = Site.model_validate_json(json.dumps({**SITE, "storefront": "bazaar"}))


def record(event: Event) -> Record:
    return Record("t", 0, 0, b"", event.model_dump_json().encode(), [("ce_type", event.type.encode())])


def seen(key: TagKey, number: int, text: str, count: int) -> Record:
    """A record of so many visitors of one product, the first of them twice."""
    sealed = CrowdSealed(key, CROWD, ("bazaar", Kind.PRODUCT, DAY, text), text)
    tags = [secrets.token_urlsafe(9) for _ in range(count)]
    cells = [
        Cell(
            kind=Kind.PRODUCT,
            window=DAY,
            id=sealed.id,
            tag=tag,
            share=sealed.share(tag),
            sealed=sealed.sealed,
        )
        for tag in (*tags, tags[0])
    ]
    return record(CellsSeen(storefront="bazaar", key=number, cells=tuple(cells)))


def key(number: int = 1) -> TagKey:
    return TagKey(number, secrets.token_bytes(32), 60, SystemClock())


def test_different_tags_are_counted_and_only_a_crowd_is_opened() -> None:
    """A repeat counts once; a cell of fewer than a crowd cannot even be named by whoever counts."""
    one = key()
    records = [seen(one, 1, "lamp", 23), seen(one, 1, "vase", CROWD), seen(one, 1, "rare", CROWD - 1)]
    found = tallies.visitors(records)
    assert found == {("product", DAY, "lamp"): 23, ("product", DAY, "vase"): CROWD}
    assert tallies.floored(found) == {("product", DAY, "lamp"): 20, ("product", DAY, "vase"): CROWD}


def test_of_two_keys_the_larger_number_counts() -> None:
    records = [seen(key(1), 1, "lamp", 12), seen(key(2), 2, "lamp", 15)]
    assert tallies.visitors(records) == {("product", DAY, "lamp"): 15}


def test_published_numbers_are_told_from_what_travels_beside_them() -> None:
    counted = Counted(storefront="bazaar", kind=Kind.PRODUCT, window=DAY, cell="lamp", count=20)
    records = [
        record(counted),
        record(MassDropped(storefront="bazaar", day=DAY, mass=30)),
        seen(key(), 1, "x", 1),
    ]
    assert tallies.told(records) == {("product", DAY, "lamp"): 20}
    assert tallies.dropped(records) == [30]


def test_a_visitor_who_comes_twice_was_there_once() -> None:
    visit = (View("/p/A", 1, item="A"), View("/p/A", 1, item="A"), View("/search", 1, term="Red Lamp"))
    assert tallies.really_there([visit, visit[:1]]) == {("product", "A"): 2, ("search", "red lamp"): 1}


def test_what_the_browsers_say_is_what_the_door_understands() -> None:
    """Every page becomes the cells that the story counts, by the door's own reading; nobody here is a program."""
    visit = (
        View("/", 5),
        View("/search", 20, term="red lamp"),
        View("/p/85123A", 31, item="85123A", done=("add_to_cart",)),
        View("/p/22423", 5, item="22423"),
    )
    cells = {
        cell
        for body in messages(visit)
        for page in pages_of(ga4.read(body), SHOP)
        for cell in cells_of(page, SHOP)
    }
    assert cells >= {
        (Kind.TRANSITION, "(entry)\t/"), (Kind.TRANSITION, "/\t/search"), (Kind.SEARCH, "red lamp"),
        (Kind.PRODUCT, "85123A"), (Kind.INTERACTION, "add_to_cart\t85123A"), (Kind.PAIR, "85123A\t22423"),
        (Kind.DWELL, "/p/{item}\t30-60s"),
    }  # fmt: skip
    assert not Bots().is_bot(f"Mozilla/5.0 (X11; Linux x86_64; rv:0-1) {Browsers('', '').mark}".encode())


def test_a_saved_page_stands_alone() -> None:
    page = '<head><link rel="stylesheet" href="/style-1.css"></head><body>'
    assert with_style(page, {"/style-1.css": "p{}"}.__getitem__) == "<head><style>p{}</style></head><body>"
    assert with_style("<p>none</p>", {}.__getitem__) == "<p>none</p>"
