"""What is kept of what was published. Pure: no clock, no randomness, no I/O.

A count is said once and stays as it was said first: two numbers of one cell could be subtracted.
A list gives way to one that knows of as much or more, never to one that knows less.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.clicks import Kind, window_bounds
from schemas.statistics import Counted, Listing, MassDropped, Recommended
from services.kernel.decision import Decision, Given
from services.kernel.errors import RejectedRecord

KEEP = timedelta(days=30)
"""So long after the end of its window is anything kept; the topics keep no longer either."""


@dataclass(frozen=True, slots=True)
class Count:
    """At least so many visitors contributed to a cell in a window."""

    storefront: str
    kind: Kind
    window: str
    cell: str
    at_least: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """At least so many contributions of a shop's day were to cells without a crowd."""

    storefront: str
    day: str
    at_least: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """A list as it stands: what is on it, best first, and how it scored."""

    storefront: str
    listing: Listing
    of: str
    """The product, of lists that belong to one; else empty."""
    through: str
    items: tuple[tuple[str, float], ...]


Row = Count | Dropped | Ranking
Said = Counted | MassDropped | Recommended


def row_of(event: Said) -> Row:
    """Return what is kept of an event."""
    match event:
        case Counted():
            return Count(event.storefront, event.kind, event.window, event.cell, event.count)
        case MassDropped():
            return Dropped(event.storefront, event.day, event.mass)
        case Recommended():
            items = tuple((each.cell, each.score) for each in event.items)
            return Ranking(event.storefront, event.listing, event.of or "", event.through, items)


def key_of(row: Row) -> str:
    """Return the state key of a row. What may hold a slash comes last."""
    match row:
        case Count():
            return f"count/{row.storefront}/{row.kind}/{row.window}/{row.cell}"
        case Dropped():
            return f"dropped/{row.storefront}/{row.day}"
        case Ranking():
            return f"list/{row.storefront}/{row.listing}/{row.of}"


def state_key(event: Said, _subject: str) -> str:
    """Return the state key of an event."""
    return key_of(row_of(event))


def window_of(row: Row) -> str:
    """Return the window that a row speaks of, or the latest that it knows."""
    match row:
        case Count():
            return row.window
        case Dropped():
            return row.day
        case Ranking():
            return row.through


def end_of(window: str) -> datetime:
    """Return when a window ends; raise `RejectedRecord` for one that no calendar has."""
    try:
        return window_bounds(window)[1]
    except (ValueError, OverflowError):
        pass
    raise RejectedRecord("window-unknown")


def decide(row: Row | None, event: Said, given: Given) -> Decision[Any]:
    """Return the row after an event; one whose window ended too long ago changes nothing."""
    new = row_of(event)
    end = end_of(window_of(new))
    if end + KEEP < given.at:
        return Decision(row)
    if row is None:
        return Decision(new)
    if isinstance(new, Ranking) and end >= end_of(window_of(row)):
        return Decision(new)
    return Decision(row)
