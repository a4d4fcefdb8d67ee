"""What travels on `clicks`: that somebody did something in a shop, once per cell, by nobody who could be followed (C3).

A *cell* is what is counted: a transition from one route to another, a product, a search term. A *tag* tells apart
the visitors of one cell in one window, and nothing else: it is made under a key that dies within a day, and the
same visitor has another one in every cell. What a cell says is sealed until a crowd shares it: cells in clear follow
from one another (whoever saw Y before X and X before Z is one visitor, where X is rare), and a rare search term is a
name (`services/kernel/sealing/crowds.py`).
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from schemas.ids import StorefrontId
from schemas.privacy import Anonymous, Clear, Contract, Event

CROWD = 10
"""So many visitors make a crowd, if nobody says otherwise: what fewer did is not published."""
LEAST_CROWD = 5
"""No setting makes a crowd smaller than this."""
SEPARATOR = "\t"
"""Between the parts of a cell; no part can hold it."""
MOST_CELLS = 2_000
"""Most cells of one record: some 700 KB, below what a broker takes by default."""
ENTRY = "(entry)"
"""Where a visitor comes from who came from outside the shop."""
OTHER = "(other)"
"""Any route, product or category that the shop did not name; what it was is not kept."""


class Kind(StrEnum):
    """What is counted, and what the parts of its cells are."""

    TRANSITION = "transition"
    """From one route to another."""
    PRODUCT = "product"
    """A product, or a category, as the shop chose."""
    PAIR = "pair"
    """Two products (or categories), one viewed right after the other."""
    SEARCH = "search"
    """A search term."""
    DWELL = "dwell"
    """A route or a product, and how long it was in sight (a bucket)."""
    INTERACTION = "interaction"
    """What was done, and with which product (or category)."""


PARTS = {
    Kind.TRANSITION: 2,
    Kind.PRODUCT: 1,
    Kind.PAIR: 2,
    Kind.SEARCH: 1,
    Kind.DWELL: 2,
    Kind.INTERACTION: 2,
}
"""How many parts the cells of a kind have."""

_PART = r"[^\u0000-\u001F\u007F-\u009F\uFEFF]{1,120}"
CELL_FORM = rf"^{_PART}(\t{_PART})?$"
HOUR_FORM = r"^\d{4}-\d\d-\d\dT\d\d$"
DAY_FORM = r"^\d{4}-\d\d-\d\d$"
WINDOW_FORM = r"^\d{4}-\d\d-\d\d(T\d\d)?$"

CELL_TEXT = StringConstraints(pattern=CELL_FORM, max_length=250)
NOBODYS = Anonymous("scrubbed, beside nothing that says whose it is, published for a crowd only")
CellText = Annotated[str, CELL_TEXT, NOBODYS]
Window = Annotated[str, StringConstraints(pattern=WINDOW_FORM), Clear("a day or an hour, UTC")]
Tag = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{12}$"),
    Clear("72 bits that are the same only for one visitor of one cell in one window"),
]
CellId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$"),
    Clear("tells cells of a window apart; without the tag key it says nothing of the text"),
]
Share = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$"),
    Clear("a point of a polynomial; fewer than a crowd of them say nothing"),
]
CrowdSealedText = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{107,1400}$"),
    Clear("the text, sealed and padded; the shares of a crowd open it, nothing else does"),
]


class Cell(Contract):
    """One visitor's contribution to one number, which says what it counts as soon as a crowd contributes to it."""

    kind: Annotated[Kind, Clear("an enumeration")]
    window: Window
    id: CellId
    tag: Tag
    share: Share
    sealed: CrowdSealedText


class CellsSeen(Event):
    """What a crowd of visitors did in one shop, shuffled; nothing says which cells belong to one visitor."""

    type: ClassVar[str] = "lethe.clicks.cells-seen.v1"

    storefront: StorefrontId
    key: Annotated[int, Field(ge=1), Clear("number of the key that the tags were made under")]
    cells: Annotated[
        tuple[Cell, ...],
        Field(min_length=1, max_length=MOST_CELLS, strict=False),
        Clear("classified field by field"),
    ]


def window_of(moment: datetime, *, hourly: bool) -> str:
    """Return the window that a moment falls into: its UTC day, or its hour."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H" if hourly else "%Y-%m-%d")


def window_bounds(window: str) -> tuple[datetime, datetime]:
    """Return when a window starts and ends; raise `ValueError` for one that no calendar has."""
    day, _, hour = window.partition("T")
    start = datetime.combine(date.fromisoformat(day), time(int(hour) if hour else 0), tzinfo=UTC)
    return start, start + (timedelta(hours=1) if hour else timedelta(days=1))
