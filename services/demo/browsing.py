"""What visitors look at: sessions of a shop from a public file where it is at hand, else made-up ones like them.

The file says what kind of page it was and when, and neither which product nor what was searched for. Products are
those that the orders are about, often ordered ones more often; searches are drawn from a file of real ones.
"""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from services.demo.retail import Retail

CLICKS, SEARCHES = "clicks/ecom.csv.gz", "search/queries.tsv"
"""Files below the folder of data, which is beside the checkout."""
MOST_SEARCHES = 60
"""So many different searches; the first are looked for more often than the last."""
MOST_PRODUCTS = 120
LONGEST_SECONDS = 1_800.0
"""Whoever comes back to a page after more was away."""
PATHS = {
    "home": "/",
    "catalog": "/catalog",
    "filter_results": "/catalog/filter",
    "promo_page": "/promotions",
    "cart": "/cart",
    "review_page": "/reviews",
    "compare": "/compare",
    "support_chat": "/support",
    "account_page": "/account",
    "error_page": "/error",
}
"""Pages of the shop by the file's names for them; product and search pages have a path of their own."""
DONE = {"add_to_cart": "add_to_cart", "wishlist_add": "add_to_wishlist"}
"""What is done on a page, in the file's words and in GA4's. Anything else is a checkout's, where no snippet is."""
PRODUCT, SEARCH = "product_view", "search"
MADE_UP = {
    PRODUCT: 30, "catalog": 28, SEARCH: 17, "home": 11, "filter_results": 10, "add_to_cart": 6, "cart": 5,
    "wishlist_add": 4, "promo_page": 3, "account_page": 3,
}  # fmt: skip
"""How often made-up visitors do what, by the shares of the file."""
PLAIN_SEARCHES = ("hand warmer", "cake stand", "paper chain kit", "red lamp", "tea towel", "christmas lights")


@dataclass(frozen=True, slots=True)
class View:
    """One page that somebody looks at."""

    path: str
    seconds: float
    item: str = ""
    term: str = ""
    done: tuple[str, ...] = ()
    """GA4's names for what was done there."""


Visit = tuple[View, ...]


@dataclass(frozen=True)
class Browsing:
    """Visits of different visitors, and where they are from."""

    source: str
    visits: tuple[Visit, ...]

    @property
    def views(self) -> int:
        """How many pages were looked at."""
        return sum(map(len, self.visits))


@dataclass(frozen=True, slots=True)
class _Step:
    """A line of the file: what, and for how long until the next one."""

    name: str
    seconds: float


def read(folder: Path, retail: Retail, visits: int) -> Browsing:
    """Return the first visits of the file below a folder; raise `FileNotFoundError` where it is absent."""
    sessions: dict[str, list[dict[str, str]]] = {}
    with gzip.open(folder / CLICKS, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sessions.setdefault(row["session_id"], []).append(row)
    steps = (_steps(rows) for rows in list(sessions.values())[:visits])
    return Browsing("sessions of a public file", _visits(steps, retail, _searches(folder)))


def generate(retail: Retail, visits: int, seed: int = 3) -> Browsing:
    """Return visits of the same shape; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a demo that can be repeated, nothing to protect
    names, weights = list(MADE_UP), list(MADE_UP.values())
    steps = (
        [
            _Step(name, chance.expovariate(1 / 60))
            for name in chance.choices(names, weights, k=chance.randint(2, 14))
        ]
        for _ in range(visits)
    )
    return Browsing("visits made up by the demo", _visits(steps, retail, PLAIN_SEARCHES))


def _searches(folder: Path) -> Sequence[str]:
    try:
        with (folder / SEARCHES).open(encoding="utf-8", newline="") as file:
            return [row["query"] for row in csv.DictReader(file, delimiter="\t")][:MOST_SEARCHES]
    except FileNotFoundError:
        return PLAIN_SEARCHES


def _steps(rows: Sequence[Mapping[str, str]]) -> list[_Step]:
    times = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    ends = [*times[1:], times[-1]]
    lasted = (
        min((end - began).total_seconds(), LONGEST_SECONDS) for began, end in zip(times, ends, strict=True)
    )
    return [_Step(row["event"], seconds) for row, seconds in zip(rows, lasted, strict=True)]


def _visits(said: Iterable[Sequence[_Step]], retail: Retail, searches: Sequence[str]) -> tuple[Visit, ...]:
    chance = random.Random(5)  # noqa: S311 - see above
    ordered = Counter(sku for each in retail.purchases for sku in {line.sku for line in each.lines})
    products = [sku for sku, _ in ordered.most_common(MOST_PRODUCTS)]
    found = (tuple(_views(steps, products, searches, chance)) for steps in said)
    return tuple(visit for visit in found if visit)


def _views(
    steps: Sequence[_Step],
    products: Sequence[str],
    searches: Sequence[str],
    chance: random.Random,
) -> Iterator[View]:
    """Yield the pages of one visit; what was done on a page belongs to the page before it."""
    view: View | None = None
    for step in steps:
        if step.name in DONE:
            view = view and replace(
                view, done=(*view.done, DONE[step.name]), seconds=view.seconds + step.seconds
            )
            continue
        if view is not None:
            yield view
        view = None
        if step.name == PRODUCT:
            item = chance.choices(products, _weights(products))[0]
            view = View(f"/p/{item}", step.seconds, item=item)
        elif step.name == SEARCH:
            term = chance.choices(searches, _weights(searches))[0]
            view = View("/search", step.seconds, term=term)
        elif step.name in PATHS:
            view = View(PATHS[step.name], step.seconds)
    if view is not None:
        yield view


def _weights(ranked: Sequence[str]) -> list[float]:
    """Return how often each is chosen: the second half as often as the first, the third a third as often."""
    return [1 / rank for rank in range(1, len(ranked) + 1)]
