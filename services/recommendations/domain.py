"""From numbers to lists. Pure: the same numbers make the same lists, whatever came first and however often.

Scores are sums that do not depend on the order of their parts (`fsum`), rounded; ties go by name.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from math import fsum, sqrt

from schemas.clicks import CROWD, OTHER, SEPARATOR, Kind, window_bounds
from schemas.scrubbed import PLACEHOLDERS
from schemas.statistics import MOST_LISTED, Listed, Listing
from services.recommendations.numbers import ByWindow, Numbers, latest_of

HALF_LIFE_DAYS = 3.0
"""After so many days a view counts half for what is hot."""
BEFORE = timedelta(days=7)
"""How far back "before" reaches for what is trending: a whole week, so that each weekday is in it once."""
SMOOTHING = CROWD
"""Added to what small numbers are divided by. What was not published may have been anything below the crowd, and what
was is rounded down to it: a term that was not there before has not risen infinitely, two that ten people saw
together and nobody else are not the most alike of all."""
MOST_RELATED = 20
"""Longest list that belongs to a product: there are as many such lists as products."""
DIGITS = 6
"""Scores are told to so many decimal places."""

Items = tuple[Listed, ...]
ListName = tuple[Listing, str | None]
"""Which list, and of which product if it belongs to one."""


def lists(numbers: Numbers) -> Iterator[tuple[ListName, Items]]:
    """Yield every list that a shop's numbers make; one that would be empty is not made."""
    latest = numbers.latest
    if latest is None:
        return
    yield from _made((Listing.HOT, None), hot(numbers.of(Kind.PRODUCT), latest))
    yield from _made((Listing.TRENDING, None), trending(numbers.of(Kind.SEARCH)))
    for product, items in also_viewed(numbers.of(Kind.PAIR), numbers.of(Kind.PRODUCT)):
        yield from _made((Listing.ALSO_VIEWED, product), items)


def hot(products: Mapping[str, ByWindow], latest: str) -> Items:
    """Return what is viewed most, a view counting half as much with every `HALF_LIFE_DAYS` before the latest window."""
    end = window_bounds(latest)[1]
    weights: dict[str, float] = {}
    for windows in products.values():
        for window in windows.keys() - weights.keys():
            weights[window] = _weight(end, window)
    return _top(
        (product, fsum(count * weights[window] for window, count in windows.items()))
        for product, windows in products.items()
        if product != OTHER
    )


def _weight(end: datetime, window: str) -> float:
    age = (end - window_bounds(window)[1]) / timedelta(days=1)
    return float(0.5 ** (age / HALF_LIFE_DAYS))


def trending(searches: Mapping[str, ByWindow]) -> Items:
    """Return the terms that more people use in the latest window of searches than they did before.

    The score is now / before, both smoothed; before is the mean of a week's windows of the same length, or of as
    many as there have been. What does not exceed 1 is no trend, and a placeholder of the scrubber is no term.
    """
    known = frozenset(window for windows in searches.values() for window in windows)
    now = latest_of(known)
    if now is None:
        return ()
    before = _windows_before(now, known)
    return _top(
        (term, score)
        for term, windows in searches.items()
        if term not in PLACEHOLDERS and now in windows and (score := _rise(windows, now, before)) > 1
    )


def _windows_before(now: str, known: frozenset[str]) -> list[str]:
    """Return the windows of a week before this one, from the first on that is known.

    One in between of which nothing is known was one in which no term had a crowd.
    """
    start, end = window_bounds(now)
    length = end - start
    same = [window for window in known if len(window) == len(now)]
    first = max(start - BEFORE, min(window_bounds(window)[0] for window in same))
    form = "%Y-%m-%dT%H" if length < timedelta(days=1) else "%Y-%m-%d"
    return [(start - length * back).strftime(form) for back in range(1, (start - first) // length + 1)]


def _rise(windows: ByWindow, now: str, before: list[str]) -> float:
    mean = sum(windows.get(window, 0) for window in before) / len(before) if before else 0.0
    return (windows[now] + SMOOTHING) / (mean + SMOOTHING)


def also_viewed(
    pairs: Mapping[str, ByWindow], products: Mapping[str, ByWindow]
) -> Iterator[tuple[str, Items]]:
    """Yield for each product what is viewed right before or after it, most alike first.

    The score is the cosine of the two products' visitors, smoothed: pairs, in both directions, over the geometric
    mean of their views. Counts alone would put the bestsellers of the shop beside every product.
    """
    together: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for cell, windows in pairs.items():
        one, _, other = cell.partition(SEPARATOR)
        if one != other and OTHER not in (one, other):
            seen = sum(windows.values())
            together[one][other] += seen
            together[other][one] += seen
    views = {product: _views(products.get(product, {}), near) for product, near in together.items()}
    for product in sorted(together):
        of_it = views[product]
        yield (
            product,
            _top(
                (
                    (other, seen / (sqrt(of_it * views[other]) + SMOOTHING))
                    for other, seen in together[product].items()
                ),
                MOST_RELATED,
            ),
        )


def _views(windows: ByWindow, near: Mapping[str, int]) -> int:
    """Return how often a product was viewed: at least as often as with its nearest, if its views are not published."""
    return max(sum(windows.values()), max(near.values()))


def _top(scored: Iterable[tuple[str, float]], most: int = MOST_LISTED) -> Items:
    best = nsmallest(most, ((-round(score, DIGITS), cell) for cell, score in scored))
    return tuple(Listed(cell=cell, score=-score) for score, cell in best)


def _made(name: ListName, items: Items) -> Iterator[tuple[ListName, Items]]:
    if items:
        yield name, items
