"""What one visitor adds to one cell, as it will travel; made while the key lives, so that it can leave without it."""

from typing import NamedTuple

from schemas.clicks import Kind
from services.gateway.clicks.tags import Visitor, name_of
from services.kernel.sealing.crowds import CrowdSealed
from services.kernel.sealing.tagging import TagKey

MOST_KEPT = 50_000
"""Sealed cells kept at one gateway, of the order of 60 MB: a search can be any text, so there is no end of them."""


class Contribution(NamedTuple):
    """The fields of `schemas.clicks.Cell`, in its order."""

    kind: Kind
    window: str
    id: str
    tag: str
    share: str
    sealed: str


class SealedCells:
    """Cells that are sealed once and kept for the next visitor, of all shops and keys. Its repr says nothing."""

    def __init__(self, crowd: int) -> None:
        self._crowd = crowd
        self._kept: dict[tuple[int, str, Kind, str, str], tuple[CrowdSealed, bytes]] = {}

    def contribution(
        self, key: TagKey, storefront: str, visitor: Visitor, kind: Kind, window: str, text: str
    ) -> Contribution:
        """Return a visitor's contribution to a cell; raises `KeyringUnavailable` when the key is dead."""
        named = (key.number, storefront, kind, window, text)
        kept = self._kept.get(named)
        if kept is None:
            if len(self._kept) >= MOST_KEPT:
                self.clear()
            cell = CrowdSealed(key, self._crowd, (storefront, kind, window, text), text)
            kept = self._kept[named] = (cell, name_of(kind, window, text))
        cell, name = kept
        tag = visitor.tag_of(name)
        return Contribution(kind, window, cell.id, tag, cell.share(tag), cell.sealed)

    def clear(self) -> None:
        """Keep nothing any more; a cell that comes again is sealed again, and is the same."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return "SealedCells()"
