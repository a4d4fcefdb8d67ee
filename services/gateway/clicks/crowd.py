"""Cells wait until the hour ends and leave all at once, shuffled, if they come from a crowd (docs/adr/0061).

Within its hour and shop nothing says then which cell came before which, or which two are one visitor's.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice
from secrets import token_bytes
from typing import Protocol

from services.gateway.clicks.contribution import Contribution

MOST_PER_VISITOR = 500
"""Different cells of one visitor in one hour; somebody who does more is a machine."""
MOST_PER_NETWORK = 2_000
"""The same of all visitors of one network: an office behind one address, or somebody with a list of user agents."""


class Dropped(StrEnum):
    """Why a contribution was given up."""

    NO_KEY = "no-key"
    """There was no tag key; counted in pages, which were not taken apart."""
    VISITOR_FULL = "visitor-full"
    """Too many came from one visitor in this hour."""
    NETWORK_FULL = "network-full"
    """Too many came from one network in this hour."""
    FULL = "full"
    """Too many wait at this gateway, or too many of one shop for others to have room."""
    NO_CROWD = "no-crowd"
    """The hour ended, or the gateway stopped, before visitors of enough networks came."""
    KAFKA_AWAY = "kafka-away"
    """Kafka was away for so long that too much waited for it, or when the gateway stopped."""


class Chance(Protocol):
    """What a crowd asks of chance; `random.Random` can do it too."""

    def shuffle(self, items: list[Contribution], /) -> None:
        """Put the items into an order of chance."""


class SystemChance:
    """Chance of the operating system: a number for each item, drawn at once, and the items in order of their numbers.

    `random.SystemRandom` asks the system for each item by itself, while everybody else waits.
    """

    def shuffle(self, items: list[Contribution], /) -> None:
        """Put the items into an order of chance; of 64 bits each, no two numbers are ever the same."""
        numbers = memoryview(token_bytes(8 * len(items))).cast("Q")
        items[:] = [items[at] for at in sorted(range(len(items)), key=numbers.__getitem__)]


class Crowd:
    """Who waits together. Knows visitors and their networks by marks only."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._visitors: dict[bytes, set[Contribution]] = {}
        self._networks: set[bytes] = set()
        self._contributed: dict[bytes, int] = {}
        """By mark, since the hour began: who left early has no second share of what waits."""
        self.waiting = 0
        """Contributions; one that a visitor makes twice counts once, as it does in every statistic."""

    @property
    def networks(self) -> int:
        """From how many networks contributions wait."""
        return len(self._networks)

    @property
    def enough(self) -> bool:
        """Whether they are a crowd: of visitors from different networks, since one has as many browsers as he likes."""
        return len(self._networks) >= self._least

    def add(
        self, visitor: bytes, network: bytes, contributions: Iterable[Contribution]
    ) -> tuple[int, Dropped]:
        """Let contributions of a visitor wait; return how many had no room, and what would be the reason."""
        wanted = set(contributions) - self._visitors.get(visitor, frozenset())
        of_visitor = MOST_PER_VISITOR - self._contributed.get(visitor, 0)
        of_network = MOST_PER_NETWORK - self._contributed.get(network, 0)
        taken = set(islice(wanted, min(of_visitor, of_network)))
        if taken:
            self._visitors.setdefault(visitor, set()).update(taken)
            self._networks.add(network)
            for mark in (visitor, network):
                self._contributed[mark] = self._contributed.get(mark, 0) + len(taken)
            self.waiting += len(taken)
        why = Dropped.VISITOR_FULL if of_visitor <= of_network else Dropped.NETWORK_FULL
        return len(wanted) - len(taken), why

    def leave(self, chance: Chance) -> list[Contribution]:
        """Return everything that waits, shuffled; nothing of less than a crowd, which then waits on."""
        if not self.enough:
            return []
        everything = [each for mine in self._visitors.values() for each in mine]
        chance.shuffle(everything)
        self._visitors.clear()
        self._networks.clear()
        self.waiting = 0
        return everything

    def __repr__(self) -> str:
        return f"Crowd(waiting={self.waiting})"
