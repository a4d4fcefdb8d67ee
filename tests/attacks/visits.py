"""Whole days of a shop, made of real sessions: who saw which page when, and who ordered. Drawn from a seed.

The sessions are those of `clicks/ecom.csv.gz`: their order of events, their times of day, their gaps. That file covers
177 quiet days (22 visitors on a usual one), of which nothing would ever leave a crowd's buffer; so its days are laid
over one another, and (user, date) is a visitor of the one day that this gives. The events name no products: which
product was seen is drawn by how many invoices of `retail/` hold it, terms from `search/queries.tsv` by Zipf's law. What
belongs to a checkout is not a page; a purchase is an order, with the exact second.
"""

import csv
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest

from services.gateway.clicks.page import Interaction, Page
from services.gateway.clicks.site import Site

DATA = Path(__file__).parents[3] / "shared" / "data"
CLICKS, QUERIES, RETAIL = DATA / "clicks/ecom.csv.gz", DATA / "search/queries.tsv", DATA / "retail"
DAY = datetime(2026, 3, 11, tzinfo=UTC)
SHOP = "corner"
AGENTS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
    for version in range(128, 138)
)
ROUTES = {
    "home": "/", "promo_page": "/promo", "catalog": "/catalog", "filter_results": "/catalog?sort=price",
    "search": "/search", "cart": "/cart", "account_page": "/account", "review_page": "/reviews",
    "support_chat": "/support", "error_page": "/error", "compare": "/compare",
}  # fmt: skip
DONE = {"add_to_cart": "add_to_cart", "wishlist_add": "add_to_wishlist"}
NOT_COLLECTED = frozenset({"shipping_details", "payment_details", "payment_error", "checkout_bug"})
needs_data = pytest.mark.skipif(
    not (CLICKS.exists() and QUERIES.exists() and RETAIL.is_dir()),
    reason="the real inputs are not there: clicks, search and retail beside the project",
)


@dataclass(frozen=True)
class Visitor:
    """Somebody, as the door sees him."""

    number: int
    address: str
    agent: str


@dataclass(frozen=True)
class Visit:
    """One page of one visitor, said when it is left."""

    at: datetime
    visitor: Visitor
    page: Page


@dataclass(frozen=True)
class Order:
    """What an outsider knows of an order: who, when, and what was bought."""

    at: datetime
    visitor: Visitor
    item: str


@dataclass(frozen=True)
class Day:
    """All that happened."""

    site: Site
    visits: tuple[Visit, ...]
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Shape:
    """Which shop: what part of the sessions come to it, how many products it has, what is drawn."""

    name: str
    share: float = 1.0
    products: int = 100_000
    seed: int = 1
    regulars: bool = False
    """Whether a user of the file is one visitor, who comes back all day, and not one for each date."""
    more_terms: tuple[tuple[str, int], ...] = ()
    """Terms that so many visitors search for besides."""


@dataclass
class _Walk:
    """Where a visitor is, while the events of a session are read."""

    page: str = ""
    item: str = ""
    term: str = ""
    since: datetime = DAY
    came_from: str = ""
    item_before: str = ""
    done: list[Interaction] = field(default_factory=list)

    def left(self, at: datetime) -> Page:
        seconds = (at - self.since).total_seconds()
        return Page(
            location=self.page, referrer=self.came_from, item=self.item, previous_item=self.item_before,
            term=self.term, visible_seconds=seconds, interactions=tuple(self.done),
        )  # fmt: skip


@cache
def sessions() -> list[list[tuple[str, str, datetime]]]:
    """Return the sessions: (user and date, event, time on the one day) each, in order."""
    found: dict[str, list[tuple[str, str, datetime]]] = defaultdict(list)
    with gzip.open(CLICKS, "rt") as file:
        for row in csv.DictReader(file):
            when = datetime.fromisoformat(row["timestamp"])
            on_the_day = DAY + timedelta(hours=when.hour, minutes=when.minute, seconds=when.second)
            found[row["session_id"]].append((f"{row['user_id']} {when.date()}", row["event"], on_the_day))
    return [sorted(events, key=lambda event: event[2]) for events in found.values()]


def sessions_as_they_were() -> Iterator[tuple[str, list[tuple[str, datetime]]]]:
    """Yield the sessions on their own dates: user, and (event, time) in order; what belongs to a checkout left out."""
    found: dict[tuple[str, str], list[tuple[str, datetime]]] = defaultdict(list)
    with gzip.open(CLICKS, "rt") as file:
        for row in csv.DictReader(file):
            if row["event"] not in NOT_COLLECTED | {"purchase"}:
                at = datetime.fromisoformat(row["timestamp"])
                found[row["user_id"], row["session_id"]].append((row["event"], at))
    for (user, _), events in found.items():
        yield user, sorted(events, key=lambda event: event[1])


@cache
def invoices() -> dict[str, tuple[str, list[tuple[str, int]]]]:
    """Return the invoices of the real shop: minute, and articles with quantities in the order of their lines.

    Cancellations are left out.
    """
    found: dict[str, tuple[str, list[tuple[str, int]]]] = {}
    for path in sorted(RETAIL.glob("*.csv.gz")):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                if not row["InvoiceNo"].startswith("C"):
                    lines = found.setdefault(row["InvoiceNo"], (row["InvoiceDate"][:16], []))[1]
                    lines.append((row["StockCode"], int(row["Quantity"])))
    return found


@cache
def products() -> list[tuple[str, int]]:
    """Return the articles and in how many invoices each is, the most bought first."""
    held = Counter(
        article for _, lines in invoices().values() for article in {article for article, _ in lines}
    )
    return sorted(held.items(), key=lambda each: (-each[1], each[0]))


@cache
def queries() -> list[str]:
    """Return the real searches."""
    with QUERIES.open(newline="") as file:
        return [row["query"] for row in csv.DictReader(file, delimiter="\t")]


def day_of(shape: Shape) -> Day:
    """Return a day of such a shop: always the same one for a shape."""
    chance = random.Random(f"{shape.name} {shape.seed}")
    chosen = [each for each in sessions() if chance.random() < shape.share]
    articles = products()[: shape.products]
    draw = _Draw(chance, articles)
    people: dict[str, Visitor] = {}
    visits: list[Visit] = []
    orders: list[Order] = []
    for events in chosen:
        name = events[0][0].split()[0] if shape.regulars else events[0][0]
        who = people.setdefault(name, _somebody(len(people), chance))
        _walk(who, events, draw, visits, orders)
    visits += _searches(shape, list(people.values()), chance)
    known = {item: item[:2] for item, _ in articles}
    site = Site(
        storefront=SHOP, origins=("https://corner.example",), routes=("/p/{item}", *_routes()),
        parameters={"sort": ("price", "new")}, categories=known,
    )  # fmt: skip
    return Day(site, tuple(sorted(visits, key=lambda visit: visit.at)), tuple(orders))


class _Draw:
    """What the events do not say."""

    def __init__(self, chance: random.Random, articles: Sequence[tuple[str, int]]) -> None:
        self._chance = chance
        self._articles = [article for article, _ in articles]
        self._weights = list(accumulate(count for _, count in articles))
        self._terms = list(accumulate(1 / rank for rank in range(1, len(queries()) + 1)))

    def article(self) -> str:
        return self._chance.choices(self._articles, cum_weights=self._weights)[0]

    def term(self) -> str:
        return self._chance.choices(queries(), cum_weights=self._terms)[0]


def _walk(
    who: Visitor,
    events: Sequence[tuple[str, str, datetime]],
    draw: _Draw,
    visits: list[Visit],
    orders: list[Order],
) -> None:
    walk = _Walk()
    last_item = ""
    for _, event, at in events:
        if event == "purchase":
            orders.append(Order(at, who, last_item or draw.article()))
        elif event in DONE:
            walk.done.append(Interaction(DONE[event], last_item))
        elif event not in NOT_COLLECTED:
            if walk.page:
                visits.append(Visit(at, who, walk.left(at)))
            item = draw.article() if event == "product_view" else ""
            page = f"/p/{item}" if item else ROUTES[event]
            term = draw.term() if event == "search" else ""
            walk = _Walk(page, item, term, at, walk.page, last_item if item else "")
            last_item = item or last_item
    if walk.page:
        end = min(walk.since + timedelta(seconds=45), DAY + timedelta(days=1, seconds=-1))
        visits.append(Visit(end, who, walk.left(end)))


def _searches(shape: Shape, people: Sequence[Visitor], chance: random.Random) -> Iterator[Visit]:
    for term, visitors in shape.more_terms:
        for who in chance.sample(people, visitors):
            at = DAY + timedelta(hours=12, seconds=chance.uniform(0, 3_500))
            yield Visit(at, who, Page(location="/search", referrer="/", term=term, visible_seconds=20))


def _somebody(number: int, chance: random.Random) -> Visitor:
    address = f"198.{18 + number // 62_500 % 2}.{number // 250 % 250}.{number % 250 + 1}"
    return Visitor(number, address, chance.choice(AGENTS))


def _routes() -> tuple[str, ...]:
    return tuple(sorted({route.partition("?")[0] for route in ROUTES.values()}))
