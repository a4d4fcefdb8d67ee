"""What the merchandiser's page says about one day, in numbers and names; the templates say it in words."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from schemas.clicks import SEPARATOR, Kind
from schemas.statistics import Listing
from services.insights.charts import Flow, Panel, Step, flow, panels, shares
from services.insights.desk import Desk, Windows
from services.insights.domain import Count, Ranking

MOST_BARS = 15
MOST_STEPS = 22
MOST_STEPS_NARROW = 12
LETTERS, LETTERS_NARROW = 24, 17
"""Of a label beside the flow, and on it where there is no room beside."""
LETTER_WIDTH = 8.4
MOST_PLACES = 8
MOST_DWELL = 400
LEAST_CROWDS_DROPPED = 10
"""Fewer dropped contributions than ten crowds are told as 0 (schemas.statistics.MassDropped)."""
DAY_LENGTH = len("2026-11-23")
NAMES = {
    Kind.TRANSITION: "steps from page to page",
    Kind.PRODUCT: "products viewed",
    Kind.PAIR: "products viewed one after the other",
    Kind.SEARCH: "searches",
    Kind.DWELL: "time in sight",
    Kind.INTERACTION: "interactions",
}
_BOUND = re.compile(r"(\d+)(?:-\d+)?(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, None: 1}


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a list."""

    parts: tuple[str, ...]
    value: float
    share: float
    """Percent of the longest."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One statistic in one window."""

    kind: Kind
    window: str
    """"" where nothing was published on that day."""
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows."""

    storefront: str
    crowd: int
    day: str
    """"" as long as nothing was ever published."""
    hour: str
    days: tuple[str, ...]
    hours: tuple[str, ...]
    charts: dict[Kind, Chart]
    hot: Ranking | None
    hot_bars: tuple[Bar, ...]
    trending: Ranking | None
    trending_bars: tuple[Bar, ...]
    flow: Flow
    flow_narrow: Flow
    dwell: tuple[Panel, ...]
    dropped: int | None
    """None: not said yet."""
    least_told: int
    """Of what was dropped; below it 0 is told."""
    other_crowd: bool
    """True: some number is not a multiple of what this page was told of the crowd."""
    daily: tuple[str, ...]
    hourly: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page."""

    storefront: str
    day: str = ""
    hour: str = ""


class Reader:
    """Gathers a page from the desk."""

    def __init__(self, desk: Desk, crowd: int, hourly: frozenset[Kind]) -> None:
        self._desk = desk
        self._crowd = crowd
        self._hourly = hourly

    async def page(self, asked: Asked) -> Page:
        """Return the page of a day, of the latest where that one has nothing; raise `StoreUnavailable`."""
        shop = asked.storefront
        windows = await self._desk.windows(shop)
        dropped = {each.day: each.at_least for each in await self._desk.dropped(shop)}
        days = sorted({window[:DAY_LENGTH] for _, window in windows} | set(dropped), reverse=True)
        day = asked.day if asked.day in days else (days[0] if days else "")
        hours = sorted({w[DAY_LENGTH + 1 :] for _, w in windows if w.startswith(day + "T")}) if day else []
        hour = asked.hour if asked.hour in hours else (hours[-1] if hours else "")
        found = {kind: await self._counts(shop, kind, _window(windows, kind, day, hour)) for kind in Kind}
        hot = await self._desk.ranking(shop, Listing.HOT, "")
        trending = await self._desk.ranking(shop, Listing.TRENDING, "")
        steps = _steps(found[Kind.TRANSITION][1])
        by_hour = {kind for kind, window in windows if len(window) > DAY_LENGTH} or self._hourly
        return Page(
            storefront=shop, crowd=self._crowd, day=day, hour=hour, days=tuple(days), hours=tuple(hours),
            charts={kind: _chart(kind, *each) for kind, each in found.items()},
            hot=hot, hot_bars=_bars_of(hot), trending=trending, trending_bars=_bars_of(trending),
            flow=flow(steps[:MOST_STEPS], 1_000, _margin(steps[:MOST_STEPS]), LETTERS),
            flow_narrow=flow(steps[:MOST_STEPS_NARROW], 340, 0, LETTERS_NARROW),
            dwell=panels(_places(found[Kind.DWELL][1])),
            dropped=dropped.get(day), least_told=LEAST_CROWDS_DROPPED * self._crowd,
            other_crowd=_other_crowd(self._crowd, _numbers(found.values())),
            daily=tuple(NAMES[kind] for kind in Kind if kind not in by_hour),
            hourly=tuple(NAMES[kind] for kind in Kind if kind in by_hour),
        )  # fmt: skip

    async def _counts(self, shop: str, kind: Kind, window: str) -> tuple[str, list[Count]]:
        if not window:
            return "", []
        most = {Kind.DWELL: MOST_DWELL, Kind.TRANSITION: MOST_STEPS}.get(kind, MOST_BARS)
        return window, await self._desk.most(shop, kind, window, most)


def _window(windows: Windows, kind: Kind, day: str, hour: str) -> str:
    """Return the window of a kind on a day: the day, or its chosen hour where it is counted by the hour."""
    mine = {window for each, window in windows if each is kind}
    return next((window for window in (day, f"{day}T{hour}") if window in mine), "")


def _chart(kind: Kind, window: str, counts: Sequence[Count]) -> Chart:
    lengths = shares([each.at_least for each in counts])
    bars = (
        Bar(tuple(each.cell.split(SEPARATOR)), each.at_least, share)
        for each, share in zip(counts, lengths, strict=True)
    )
    return Chart(kind, window, tuple(bars))


def _bars_of(ranking: Ranking | None) -> tuple[Bar, ...]:
    items = ranking.items[:MOST_BARS] if ranking else ()
    lengths = shares([score for _, score in items])
    return tuple(
        Bar((cell,), round(score, 1), share) for (cell, score), share in zip(items, lengths, strict=True)
    )


def _steps(counts: Sequence[Count]) -> list[Step]:
    split = [(each.cell.split(SEPARATOR), each.at_least) for each in counts]
    return [Step(parts[0], parts[1], at_least) for parts, at_least in split if len(parts) == 2]


def _margin(steps: Sequence[Step]) -> float:
    """Return how much room the longest label needs beside the flow."""
    longest = max((len(name) for each in steps for name in (each.source, each.target)), default=0)
    return 20 + LETTER_WIDTH * min(LETTERS, longest)


def _places(counts: Sequence[Count]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return the places with the most visitors in any one bucket, each with all buckets that any place has."""
    places: dict[str, dict[str, int]] = {}
    for each in counts:
        place, _, bucket = each.cell.partition(SEPARATOR)
        places.setdefault(place, {})[bucket] = each.at_least
    first = sorted(places, key=lambda place: (-max(places[place].values()), place))[:MOST_PLACES]
    buckets = sorted({bucket for place in first for bucket in places[place]}, key=_lower_bound)
    return [(place, [(bucket, places[place].get(bucket, 0)) for bucket in buckets]) for place in first]


def _lower_bound(bucket: str) -> tuple[float, str]:
    """Sort `0-10s`, `10-30s`, `1-3m`, `10m+` by time; what has another form comes last."""
    found = _BOUND.match(bucket)
    if found is None:
        return math.inf, bucket
    unit = found[2] or next((each for each in "smh" if each in bucket), None)
    return float(found[1]) * _SECONDS[unit], bucket


def _numbers(found: Iterable[tuple[str, Sequence[Count]]]) -> list[int]:
    return [each.at_least for _, counts in found for each in counts]


def _other_crowd(crowd: int, numbers: Sequence[int]) -> bool:
    return math.gcd(*numbers) % crowd != 0 if numbers else False


def spelled(window: str) -> str:
    """Return a window as people write it."""
    day, _, hour = window.partition("T")
    return f"{date.fromisoformat(day):%A, %-d %B %Y}" + (f", {hour}:00" if hour else "")
