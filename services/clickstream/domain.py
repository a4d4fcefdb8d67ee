"""What may be counted, when a window is over, and what of its numbers may be told. Pure."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, ClassVar, NamedTuple

from schemas.clicks import CELL_FORM, CROWD, PARTS, SEPARATOR, Cell, Kind, window_bounds
from schemas.privacy import Clear, Event
from schemas.topics import MONTH
from services.kernel.broker.partition import lane_of_cell

SKEW = timedelta(minutes=5)
"""A gateway's clock may be ahead of the database's by so much."""
MOST_TEXT = 250
_FORM = re.compile(CELL_FORM.replace("$", r"\Z"))
REMEMBERED = timedelta(days=10)
"""How long it is known that a window is closed; longer where it is not told yet."""
OLDEST = timedelta(days=7)
"""What a window that ended earlier still gets is late: less than is remembered, more than the log keeps."""
KEPT = MONTH
"""So long after the end of its window a published number stays here: as long as on its topic."""

SUMMING = 0
"""The lane that publishes what all lanes have counted: one text may be in two of them, under two keys."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decisions depend on."""

    crowd: int = CROWD
    grace: timedelta = timedelta(minutes=10)
    kinds: frozenset[Kind] = frozenset(Kind)


class Closing(Event):
    """A lane has windows to close; the worker reminds itself."""

    type: ClassVar[str] = "lethe.clickstream.closing.v1"

    lane: Annotated[int, Clear("number of a lane")]


class Reason(StrEnum):
    """What became of a cell of a record."""

    COUNTED = "counted"
    REPEATED = "repeated"
    """The same visitor, cell and window was there before."""
    LATE = "late"
    """It lies behind the offset at which its window was cut off."""
    IMPLAUSIBLE = "implausible"
    """No window or lane that a sound gateway would write."""
    UNPUBLISHED = "unpublished"
    """Of a kind that the settings leave out."""


class Stage(StrEnum):
    """How far a window of a shop is in one lane."""

    OPEN = "open"
    WAITING = "waiting"
    """The offset is noted at which it is cut off; the lane has not reached it."""
    COUNTING = "counting"
    """What a crowd shares is being opened, piece by piece."""
    SWEEPING = "sweeping"
    """Every number is known; the tags are being deleted, piece by piece."""
    CLOSED = "closed"
    """Nothing is left in this lane; once all lanes say so, the numbers are published."""


class Span(NamedTuple):
    """A window of a shop."""

    storefront: str
    window: str

    @property
    def day(self) -> "Span":
        """The same shop's day."""
        return Span(self.storefront, self.window[:10])


class Standing(NamedTuple):
    """How a span stands in a lane: `until` is the offset of the first record that comes too late for it."""

    stage: Stage
    until: int | None = None

    def takes(self, offset: int) -> bool:
        """Whether what the record at an offset says of the span still counts.

        By offset, not by time: what a closed window holds follows from the log and the noted offset alone,
        however often the lane was interrupted between them.
        """
        return self.stage is Stage.OPEN or (
            self.stage is Stage.WAITING and self.until is not None and offset < self.until
        )


@lru_cache(maxsize=4_096)
def bounds(window: str) -> tuple[datetime, datetime] | None:
    """Return when a window starts and ends; None for one that no calendar has."""
    try:
        return window_bounds(window)
    except (ValueError, OverflowError):
        return None


def flaw(rules: Rules, storefront: str, cell: Cell, lane: int, at: datetime) -> Reason | None:
    """Return why a cell cannot be counted whatever else is known; None if it may be."""
    when = bounds(cell.window)
    if when is None or when[0] > at + SKEW:
        return Reason.IMPLAUSIBLE
    if lane_of_cell(storefront, cell.id) != lane:
        # In two lanes one visitor would be counted twice.
        return Reason.IMPLAUSIBLE
    if when[1] < at - OLDEST:
        return Reason.LATE
    return None if cell.kind in rules.kinds else Reason.UNPUBLISHED


def identity(storefront: str, kind: str, window: str, key: int, cell: str) -> bytes:
    """Return what tells cells apart whoever made their ids: 128 bits of a hash. Another key is another cell."""
    named = SEPARATOR.join((storefront, kind, window, str(key), cell))
    return hashlib.blake2b(named.encode(), digest_size=16).digest()


def fits(kind: Kind, text: str) -> bool:
    """Whether a text, once a crowd has opened it, is one that its kind has."""
    return text.count(SEPARATOR) == PARTS[kind] - 1 and len(text) <= MOST_TEXT and bool(_FORM.match(text))


def reached(until: int, position: int) -> bool:
    """Whether a lane that will read `position` next has read everything that counts for a window cut off at `until`."""
    return position >= until


def largest(numbers: Iterable[tuple[Kind, str, int]]) -> dict[tuple[Kind, str], int]:
    """Return one number per text: the largest of a single key.

    Under another key the same visitor has another tag: the sum would count who came back after a loss of the key
    twice, and with it make a crowd of too few.
    """
    found: dict[tuple[Kind, str], int] = {}
    for kind, text, count in numbers:
        found[kind, text] = max(count, found.get((kind, text), 0))
    return found


def told(count: int, crowd: int) -> int:
    """Return what may be told of a count: rounded down to a multiple of the crowd, so that no difference of two
    numbers is about fewer; 0: nothing."""
    return count // crowd * crowd


def told_mass(mass: int, crowd: int = CROWD) -> int:
    """Return what may be told of a dropped mass: its first digit, in its place; 0 below ten crowds.

    Whoever knows all that was dropped but one cell would read that cell's number off a finer one.
    """
    if mass < 10 * crowd:
        return 0
    place: int = 10 ** (len(str(mass)) - 1)
    return mass // place * place
