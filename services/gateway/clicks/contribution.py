"""What one visitor adds to one cell, as it will travel; made while the key lives, so that it can leave without it."""

from typing import NamedTuple

from schemas.clicks import Kind
from services.gateway.clicks.tags import Visitor, name_of
from services.kernel.sealing.crowds import CrowdSealed
from services.kernel.sealing.tagging import TagKey


class Contribution(NamedTuple):
    """The fields of `schemas.clicks.Cell`, in its order."""

    kind: Kind
    window: str
    id: str
    tag: str
    share: str
    sealed: str


class SealedCells:
    """The cells of one shop under one key, each sealed once and kept for the next visitor. Its repr says nothing."""

    def __init__(self, storefront: str, crowd: int) -> None:
        self._storefront = storefront
        self._crowd = crowd
        self._known: dict[tuple[Kind, str, str], tuple[CrowdSealed, bytes]] = {}

    def contribution(self, key: TagKey, visitor: Visitor, kind: Kind, window: str, text: str) -> Contribution:
        """Return a visitor's contribution to a cell; raises `KeyringUnavailable` when the key is dead."""
        named = (kind, window, text)
        known = self._known.get(named)
        if known is None:
            cell = CrowdSealed(key, self._crowd, (self._storefront, *named), text)
            known = self._known[named] = (cell, name_of(kind, window, text))
        cell, name = known
        tag = visitor.tag_of(name)
        return Contribution(kind, window, cell.id, tag, cell.share(tag), cell.sealed)

    def __repr__(self) -> str:
        return "SealedCells()"
