"""What is published of clicks: numbers of crowds (U3), and lists that are made of these numbers alone."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from schemas.clicks import CELL_TEXT, DAY_FORM, NOBODYS, CellText, Kind, Window
from schemas.ids import StorefrontId
from schemas.privacy import Clear, Contract, Event

MOST_LISTED = 100
"""Longest list."""


class Counted(Event):
    """So many visitors, rounded down to a multiple of the crowd, contributed to a cell in a window. Said once."""

    type: ClassVar[str] = "lethe.statistics.counted.v1"

    storefront: StorefrontId
    kind: Annotated[Kind, Clear("an enumeration")]
    window: Window
    cell: CellText
    count: Annotated[int, Field(ge=1), Clear("of a crowd")]


class MassDropped(Event):
    """So many contributions of a day were to cells without a crowd: one number for the whole shop, as coarse."""

    type: ClassVar[str] = "lethe.statistics.mass-dropped.v1"

    storefront: StorefrontId
    day: Annotated[str, StringConstraints(pattern=DAY_FORM), Clear("a day, UTC")]
    mass: Annotated[int, Field(ge=0), Clear("of the whole shop")]


class Listing(StrEnum):
    """What a list is of."""

    HOT = "hot"
    """Products (or categories) that many view now."""
    TRENDING = "trending"
    """Search terms that more people use than before."""
    ALSO_VIEWED = "also-viewed"
    """What was viewed right after (or before) a product."""


class Listed(Contract):
    """One place of a list."""

    cell: CellText
    score: Annotated[float, Field(ge=0), Clear("made of published numbers")]


class Recommended(Event):
    """A list as it stands now; replaces the earlier one of the same name (and product)."""

    type: ClassVar[str] = "lethe.recommendations.recommended.v1"

    storefront: StorefrontId
    listing: Annotated[Listing, Clear("an enumeration")]
    of: Annotated[str | None, CELL_TEXT, NOBODYS] = None
    """The product, of lists that belong to one."""
    through: Window
    """The latest window that the list knows of."""
    items: Annotated[
        tuple[Listed, ...], Field(max_length=MOST_LISTED, strict=False), Clear("classified field by field")
    ]
