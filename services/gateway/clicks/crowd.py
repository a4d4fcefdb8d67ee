"""Cells wait until the hour ends and leave all at once, shuffled, if they come from a crowd (docs/adr/0061).

Within its hour and shop nothing says then which cell came before which, or which two are one visitor's.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from services.gateway.clicks.contribution import Contribution

MOST_PER_VISITOR = 500
"""Different cells of one visitor in one hour; somebody who does more is a machine."""


class Dropped(StrEnum):
    """Why a contribution was given up."""

    NO_KEY = "no-key"
    """There was no tag key; counted in pages, which were not taken apart."""
    VISITOR_FULL = "visitor-full"
    """Too many of one visitor wait."""
    FULL = "full"
    """Too many wait at this gateway."""
    NO_CROWD = "no-crowd"
    """The hour ended, or the gateway stopped, before enough visitors came."""
    KAFKA_AWAY = "kafka-away"
    """Kafka was away for so long that too much waited for it, or when the gateway stopped."""


class Chance(Protocol):
    """What `random.SystemRandom` is asked for."""

    def shuffle(self, items: list[Contribution], /) -> None:
        """Put the items into an order of chance."""


class Crowd:
    """Who waits together. Knows visitors by a mark only."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._visitors: dict[bytes, set[Contribution]] = {}
        self.waiting = 0
        """Contributions; one that a visitor makes twice counts once, as it does in every statistic."""

    @property
    def enough(self) -> bool:
        """Whether they are a crowd."""
        return len(self._visitors) >= self._least

    def add(self, visitor: bytes, contributions: Iterable[Contribution]) -> int:
        """Let contributions of a visitor wait; return how many had no room."""
        mine = self._visitors.setdefault(visitor, set())
        before, wanted = len(mine), set(contributions) - mine
        for each in wanted:
            if len(mine) >= MOST_PER_VISITOR:
                break
            mine.add(each)
        self.waiting += len(mine) - before
        return before + len(wanted) - len(mine)

    def leave(self, chance: Chance) -> list[Contribution]:
        """Return everything that waits, shuffled; nothing of less than a crowd, which then waits on."""
        if not self.enough:
            return []
        everything = [each for mine in self._visitors.values() for each in mine]
        chance.shuffle(everything)
        self._visitors.clear()
        self.waiting = 0
        return everything

    def __repr__(self) -> str:
        return f"Crowd(waiting={self.waiting})"
