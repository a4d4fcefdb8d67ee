"""The small parts of the door for clicks: whose address counts, what is a program, and how old a site may be."""

import asyncio
from collections.abc import Collection, Sequence
from ipaddress import ip_network

import pytest

from services.gateway.clicks import bots
from services.gateway.clicks.bots import Bots
from services.gateway.clicks.head import MOST_HOPS, Head, address_of
from services.gateway.clicks.pages import pages_of
from services.gateway.clicks.reading import Reading, Seen
from services.gateway.clicks.sites import SiteRow, Sites
from services.gateway.clicks.vocabulary import Drop
from services.gateway.refusals import Refusal
from services.kernel.errors import StoreUnavailable
from services.kernel.http.recent import FRESH_SECONDS, MISS_SECONDS, STALE_SECONDS
from tests.unit.clicks_door import BROWSER, ORIGIN, SHOP, SITE

OURS = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.66, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.66", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "2001:db8::5"], "203.0.113.9"),
        ("2001:db8::1", ["2001:db9::7"], "2001:db9::7"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2:443"], "10.0.0.1"),
        ("10.0.0.1", ["", ","], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_nearest_address_that_no_trusted_proxy_has_is_who_calls(
    peer: str, said: list[str], address: str
) -> None:
    """Whoever writes the header itself, in front of the proxies, is not believed."""
    head = Head(forwarded_for=[each.encode() for each in said])
    assert address_of(peer, head, OURS) == address


def test_without_trusted_proxies_nothing_that_is_said_counts() -> None:
    assert address_of("198.51.100.7", Head(forwarded_for=[b"203.0.113.9"]), ()) == "198.51.100.7"


def test_a_way_of_ten_thousand_hops_is_not_walked() -> None:
    head = Head(forwarded_for=[b"203.0.113.9," + b"10.0.0.2," * 10_000 + b"10.0.0.3"])
    assert address_of("10.0.0.1", head, OURS) == "10.0.0.2"
    assert MOST_HOPS < 100


def test_a_head_says_nothing_of_whom_it_holds() -> None:
    assert "203.0.113.9" not in repr(Head(forwarded_for=[b"203.0.113.9"], agent=b"Firefox"))


def test_a_user_agent_is_known_again_without_being_kept() -> None:
    known = Bots()
    assert not known.is_bot(BROWSER.encode())
    assert BROWSER.encode() not in repr(known.__dict__).encode()
    other = Bots()
    other.is_bot(BROWSER.encode())
    assert known._known.keys().isdisjoint(other._known), "a digest of one process says nothing in another"


def test_only_so_many_user_agents_are_remembered_and_the_patterns_asked_once(monkeypatch) -> None:
    asked: list[str] = []

    def is_crawler(agent: str) -> bool:
        asked.append(agent)
        return "bot" in agent

    monkeypatch.setattr(bots.crawleruseragents, "is_crawler", is_crawler)
    monkeypatch.setattr(bots, "REMEMBERED", 3)
    known = Bots()
    for agent in ("a", "b", "a", "c", "a", "d", "a", "b"):
        assert not known.is_bot(agent.encode())
    assert asked == ["a", "b", "c", "d", "b"], "`a` was used all the while, `b` was not"
    assert len(known._known) == 3
    assert known.is_bot(b"bot") and known.is_bot(b"bot")


class Table:
    """The rows of sites, as a database would give them, and a clock that a test moves."""

    def __init__(self) -> None:
        self.rows = {SHOP: (1, SITE.model_dump_json())}
        self.readings: list[set[int]] = []
        self.away = False
        self.at = 1_000.0

    def monotonic(self) -> float:
        return self.at

    async def read(self, known: Collection[int]) -> Sequence[SiteRow]:
        self.readings.append(set(known))
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return [SiteRow(n, v, None if v in known else text) for n, (v, text) in self.rows.items()]


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def sites(table: Table) -> Sites:
    return Sites(table.read, table)  # type: ignore[arg-type]


async def code_of(sites: Sites, shop: str = SHOP) -> str:
    with pytest.raises(Refusal) as caught:
        await sites.find(shop)
    return str(caught.value.code)


async def test_a_document_is_read_once_and_one_reading_serves_many(table: Table, sites: Sites) -> None:
    found = await asyncio.gather(*(sites.find(SHOP) for _ in range(50)))
    assert table.readings == [set()]
    table.at += FRESH_SECONDS + 0.1
    assert await sites.find(SHOP) is found[0]
    await asyncio.sleep(0.01)
    assert table.readings == [set(), {1}], "the version that is known is not read again"
    assert await sites.find(SHOP) is found[0]


async def test_a_change_and_a_removal_are_known_within_five_seconds(table: Table, sites: Sites) -> None:
    assert (await sites.find(SHOP)).origins == SITE.origins
    table.rows[SHOP] = (2, SITE.model_copy(update={"origins": ("https://new.example",)}).model_dump_json())
    table.at += STALE_SECONDS + 0.1
    assert (await sites.find(SHOP)).origins == ("https://new.example",)
    table.rows.clear()
    table.at += STALE_SECONDS + 0.1
    assert await code_of(sites) == "site-unknown"


async def test_an_unknown_shop_is_looked_for_but_not_each_time(table: Table, sites: Sites) -> None:
    await sites.find(SHOP)
    for _ in range(10):
        assert await code_of(sites, "shoeshop") == "site-unknown"
    assert len(table.readings) == 1
    table.rows["shoeshop"] = (2, SITE.model_copy(update={"storefront": "shoeshop"}).model_dump_json())
    table.at += MISS_SECONDS + 0.01
    assert (await sites.find("shoeshop")).storefront == "shoeshop"


async def test_without_the_database_what_is_known_serves_until_it_is_stale(
    table: Table, sites: Sites
) -> None:
    await sites.find(SHOP)
    table.away = True
    table.at += STALE_SECONDS - 0.1
    assert (await sites.find(SHOP)).storefront == SHOP
    table.at += 0.2
    assert await code_of(sites) == "store-unavailable"


async def test_a_document_of_another_version_of_the_gateway_is_no_site(
    table: Table, sites: Sites, capsys
) -> None:
    table.rows[SHOP] = (3, '{"storefront": "bookshop", "unheard": "Quxolotl"}')
    assert await code_of(sites) == "site-unknown"
    assert "Quxolotl" not in capsys.readouterr().out


def pages(*events: Seen) -> tuple[list[tuple[str, str, str, int]], dict[Drop, int]]:
    reading = Reading(events=list(events))
    found = pages_of(reading, SITE)
    return [(p.location, p.item, p.previous_item, len(p.interactions)) for p in found], dict(reading.dropped)


def test_each_product_of_one_message_is_counted_once_and_says_which_came_before() -> None:
    view = [Seen("view_item", items=((name, ""),)) for name in ("A", "A", "B")]
    assert pages(Seen("page_view", "/p/A"), *view) == ([("/p/A", "A", "", 0), ("", "B", "A", 0)], {})


def test_more_interactions_than_a_page_holds_go_on_without_another_page_view() -> None:
    shares = [Seen("share")] * 23
    assert pages(Seen("page_view", "/"), *shares)[0] == [("/", "", "", 10), ("", "", "", 10), ("", "", "", 3)]


def test_a_page_view_ends_the_page_before_it() -> None:
    found = pages(
        Seen("page_view", "/"), Seen("share"), Seen("page_view", f"{ORIGIN}/cart"), Seen("view_cart")
    )
    assert found == ([("/", "", "", 1), (f"{ORIGIN}/cart", "", "", 1)], {})


def test_a_time_of_no_page_and_a_page_without_address_are_counted() -> None:
    found = pages(
        Seen("user_engagement", seconds=3.0), Seen("page_view"), Seen("page_view", "https://evil.example/")
    )
    assert found == ([], {Drop.NO_PAGE: 2, Drop.FOREIGN_PAGE: 1})
