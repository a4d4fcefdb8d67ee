"""What of a page is counted. Whatever a browser says, a page has at most `MOST_PER_PAGE` cells. Pure."""

import math
from collections.abc import Iterator
from itertools import islice

from schemas.clicks import ENTRY, OTHER, SEPARATOR, Kind
from services.gateway.clicks.page import Page
from services.gateway.clicks.routes import Match
from services.gateway.clicks.site import Site
from services.gateway.clicks.terms import term_of

MOST_INTERACTIONS = 10
MOST_PER_PAGE = 5 + MOST_INTERACTIONS
NO_PLACE = Match("")
NO_PRODUCT = "(none)"
"""Stands where an interaction was with no product."""
BUCKETS = (
    (0.0, "0-10s"),
    (10.0, "10-30s"),
    (30.0, "30-60s"),
    (60.0, "1-3m"),
    (180.0, "3-10m"),
    (600.0, "10m+"),
)
"""Seconds in sight: lower bound and name. A page may say either a number or a bound."""


def cells_of(page: Page, site: Site) -> list[tuple[Kind, str]]:
    """Return each cell of a page once, as kind and text. But for a term, the shop has named all that is in it."""
    return list(islice(dict.fromkeys(_cells(page, site)), MOST_PER_PAGE))


def _cells(page: Page, site: Site) -> Iterator[tuple[Kind, str]]:
    routes = site.known_routes
    here = routes.match(page.location) if page.location else NO_PLACE
    there = routes.match(page.referrer) if page.referrer else NO_PLACE
    if here.route:
        yield Kind.TRANSITION, _cell(there.route or ENTRY, here.route)
    product = site.product(page.item or here.item, page.category or here.category)
    if product:
        yield Kind.PRODUCT, product
        before = site.product(page.previous_item or there.item, page.previous_category or there.category)
        # What the shop did not name is next to nothing that could be recommended.
        if before and before != product and OTHER not in (before, product):
            yield Kind.PAIR, _cell(before, product)
    term = term_of(page.term or routes.term(page.location))
    if term:
        yield Kind.SEARCH, term
    bucket = bucket_of(page.visible_seconds)
    watched = here.route if site.dwell == "route" else product
    if bucket and watched:
        yield Kind.DWELL, _cell(watched, bucket)
    for each in page.interactions[:MOST_INTERACTIONS]:
        if each.name in site.interactions:
            yield Kind.INTERACTION, _cell(each.name, site.product(each.item, each.category) or NO_PRODUCT)


def bucket_of(seconds: float | None) -> str:
    """Return the name of the bucket, "" for no time or an impossible one."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    return next(name for bound, name in reversed(BUCKETS) if seconds >= bound)


def _cell(first: str, second: str) -> str:
    return first + SEPARATOR + second
