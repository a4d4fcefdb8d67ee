"""Why a key may not die yet. Pure: what happens to one (scope, category) pair of a subject.

A ground belongs to the pair and not to a key, so that a key minted later for the same order inherits what
holds it. The grounds are the keyring's own knowledge: destruction waits for nobody's assessment.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.erasure import Held
from schemas.holds import Ground, Hold
from schemas.privacy import Category
from schemas.topics import ORDERS
from services.kernel.errors import RejectedRecord

MARGIN = timedelta(days=7)
PROVISIONAL_FOR = (ORDERS.keep or timedelta(days=30)) + MARGIN
"""How long a key waits for its event to be handled: until the topic has dropped it, and a margin."""
ENDING = frozenset({Ground.PROVISIONAL, Ground.STATUTORY})
"""Grounds that end at their date; every other one is ended by its own worker's word alone."""


class PairId(NamedTuple):
    """What of a subject a ground holds."""

    scope: str
    category: Category


@dataclass(frozen=True, slots=True)
class Pair:
    """What holds the keys of one pair, and how many of them live. No ground: released, or never held."""

    ground: Ground | None = None
    until: datetime | None = None
    """Until when the scope expects to need it."""
    revision: int = 0
    """Of the scope's last word on this pair; what is lower or equal was said before."""
    live: int = 0

    def held(self, at: datetime) -> bool:
        """Say whether a ground still holds the pair."""
        return self.ground is not None and not self.due(at)

    def due(self, at: datetime) -> bool:
        """Say whether the ground has ended by itself; an open order's never does: overdue is an alarm."""
        return self.ends is not None and self.ends <= at

    @property
    def ends(self) -> datetime | None:
        """When the ground ends by itself, None when only a release ends it."""
        return self.until if self.ground in ENDING else None


def provisional(at: datetime) -> Pair:
    """Return a pair as it is born: held until somebody has handled the event, or the topic has dropped it."""
    return Pair(Ground.PROVISIONAL, at + PROVISIONAL_FOR)


def confirmed(pair: Pair | None, hold: Hold, revision: int) -> Pair:
    """Return the pair held as its scope now says; unchanged for a revision that is not higher."""
    pair = pair or Pair()
    if revision <= pair.revision:
        return pair
    return replace(pair, ground=hold.ground, until=hold.until, revision=revision)


def released(pair: Pair | None, revision: int) -> Pair:
    """Return the pair held by nothing; unchanged for a revision that is not higher."""
    pair = pair or Pair()
    if revision <= pair.revision:
        return pair
    return replace(pair, ground=None, until=None, revision=revision)


def check_hold(hold: Hold) -> None:
    """Raise `RejectedRecord` for a hold that nobody may claim.

    A provisional ground is the keyring's own to give; a statutory one without a date would keep for ever.
    """
    if hold.ground is Ground.PROVISIONAL:
        raise RejectedRecord("hold-provisional")
    if hold.ground is Ground.STATUTORY and hold.until is None:
        raise RejectedRecord("hold-without-date")


def as_held(pair_id: PairId, pair: Pair) -> Held:
    """Return how a held pair is told to others."""
    if pair.ground is None:
        raise ValueError("nothing holds this pair")
    return Held(scope=pair_id.scope, category=pair_id.category, ground=pair.ground, until=pair.until)
