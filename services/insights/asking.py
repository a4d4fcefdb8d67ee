"""What may be asked: from a path and a query to a question, or a refusal that repeats nothing of them. Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from schemas.clicks import CELL_FORM, SEPARATOR, WINDOW_FORM, Kind, window_bounds
from schemas.statistics import MOST_LISTED, Listing
from services.insights.refusals import Code, Refusal

MOST_QUERY_BYTES = 1_024
MOST_PARAMETERS = 8
MOST_COUNTS = 1_000
"""On one page of a statistic."""
MOST_PAGES = 1_000
LIMIT = 100
"""If nobody says otherwise."""

LISTS = {"/v1/hot": Listing.HOT, "/v1/trending": Listing.TRENDING}
RECOMMENDATIONS = "/v1/recommendations"
STATISTICS = "/v1/statistics"
OF_A_KIND = STATISTICS + "/{kind}"

_NUMBER = re.compile(r"[1-9][0-9]{0,3}")
_WINDOW = re.compile(WINDOW_FORM)
_ITEM = re.compile(CELL_FORM)


@dataclass(frozen=True, slots=True)
class ForList:
    """A list, perhaps of one item."""

    listing: Listing
    of: str = ""
    limit: int = LIMIT


@dataclass(frozen=True, slots=True)
class ForCounts:
    """A page of the counts of one kind; of the latest window where none is named."""

    kind: Kind
    window: str = ""
    limit: int = LIMIT
    page: int = 1


@dataclass(frozen=True, slots=True)
class ForOverview:
    """Which windows there are, and what was dropped."""


Question = ForList | ForCounts | ForOverview


def route_of(path: str) -> str:
    """Return the template of a path that is answered with numbers, "" for any other."""
    if path in LISTS or path in (RECOMMENDATIONS, STATISTICS):
        return path
    return OF_A_KIND if path.startswith(STATISTICS + "/") else ""


@lru_cache(maxsize=4_096)
def question(path: str, query: bytes, personal: bool) -> Question:
    """Return what is asked; `personal` is false for who refused to have anything made for them.

    They get the shop-wide list. Raises `Refusal`.
    """
    said = _parameters(query)
    if path in LISTS:
        _only(said, "limit")
        return ForList(LISTS[path], limit=_number(said, "limit", Code.LIMIT_WRONG, LIMIT, MOST_LISTED))
    if path == RECOMMENDATIONS:
        return _recommendations(said, personal)
    if path == STATISTICS:
        _only(said)
        return ForOverview()
    _only(said, "window", "limit", "page")
    return ForCounts(
        _kind(path.removeprefix(STATISTICS + "/")),
        _window(said),
        _number(said, "limit", Code.LIMIT_WRONG, LIMIT, MOST_COUNTS),
        _number(said, "page", Code.PAGE_WRONG, 1, MOST_PAGES),
    )


def _recommendations(said: dict[str, str], personal: bool) -> ForList:
    _only(said, "item", "personal", "limit")
    limit = _number(said, "limit", Code.LIMIT_WRONG, LIMIT, MOST_LISTED)
    item, wish = said.get("item"), said.get("personal", "yes")
    if item is None:
        raise Refusal(Code.ITEM_MISSING)
    if SEPARATOR in item or not _ITEM.fullmatch(item):
        raise Refusal(Code.ITEM_WRONG)
    if wish not in ("yes", "no"):
        raise Refusal(Code.PERSONAL_WRONG)
    if wish == "no" or not personal:
        return ForList(Listing.HOT, limit=limit)
    return ForList(Listing.ALSO_VIEWED, item, limit)


def _parameters(query: bytes) -> dict[str, str]:
    if not query:
        return {}
    try:
        if len(query) > MOST_QUERY_BYTES:
            raise ValueError
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        pairs = None
    if pairs is None:
        raise Refusal(Code.QUERY_WRONG)
    said = dict(pairs)
    if len(said) < len(pairs):
        raise Refusal(Code.PARAMETER_REPEATED)
    return said


def _only(said: dict[str, str], *names: str) -> None:
    if not said.keys() <= set(names):
        raise Refusal(Code.PARAMETER_UNKNOWN)


def _number(said: dict[str, str], name: str, code: Code, otherwise: int, most: int) -> int:
    text = said.get(name)
    if text is None:
        return otherwise
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise Refusal(code)
    return int(text)


def _kind(text: str) -> Kind:
    if text not in frozenset(Kind):
        raise Refusal(Code.KIND_UNKNOWN)
    return Kind(text)


def _window(said: dict[str, str]) -> str:
    text = said.get("window")
    if text is None:
        return ""
    if not is_window(text):
        raise Refusal(Code.WINDOW_WRONG)
    return text


def is_window(text: str) -> bool:
    """Say whether a text names a day or an hour that some calendar has."""
    # `\d` is any script's digit; what is stored is ASCII.
    if not text.isascii() or not _WINDOW.fullmatch(text):
        return False
    try:
        window_bounds(text)
    except (ValueError, OverflowError):
        return False
    return True
