"""How what is remembered is written down: rows of text, of a shop's numbers and of the lists it was last told.

A row's name begins with its shop, so that its partition follows from it, and holds nothing that was not published.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from schemas.clicks import SEPARATOR, Kind
from schemas.statistics import Listed, Listing
from schemas.topics import LANES
from services.kernel.broker.partition import partition_of
from services.recommendations.domain import ListName
from services.recommendations.numbers import Name

_LIST = "list"


class Row(NamedTuple):
    """What a row is about: exactly one of `number` and `told` is there."""

    shop: str
    number: Name | None = None
    told: ListName | None = None


def number_row(shop: str, number: Name) -> bytes:
    """Return the name of the row of a number."""
    kind, window, cell = number
    return SEPARATOR.join((shop, kind, window, cell)).encode()


def list_row(shop: str, told: ListName) -> bytes:
    """Return the name of the row that remembers which list was told."""
    listing, of = told
    return SEPARATOR.join((shop, _LIST, listing, of or "")).encode()


def row_of(key: bytes) -> Row:
    """Return what a row is about; raise `ValueError` for a name that is none."""
    shop, what, middle, rest = key.decode().split(SEPARATOR, 3)
    if what == _LIST:
        return Row(shop, told=(Listing(middle), rest or None))
    return Row(shop, number=(Kind(what), middle, rest))


def lane_of_shop(shop: str) -> int:
    """Return the partition of everything about a shop."""
    return partition_of(shop.encode(), LANES)


def digest(items: Sequence[Listed]) -> bytes:
    """Return what tells a list from one with other cells, another order or other scores."""
    said = "\n".join(f"{item.cell}{SEPARATOR}{item.score!r}" for item in items)
    return hashlib.sha256(said.encode()).hexdigest()[:32].encode()
