"""What an adapter makes of a body: events in GA4's words, and what became of the rest. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.gateway.clicks.vocabulary import CLICK_IDS, IDENTITY, REFUSED, Drop

MOST_TEXT = 2_048
"""Characters of a URL or any other text; a longer one is as if it were not there, since half of it may say else."""
MOST_ITEMS = 10
"""Products of one event that are counted."""
MOST_MARKS = 50
"""Parameters of one URL that are looked through for the marks of advertisers."""
MOST_SECONDS = 4 * 3_600.0
"""A page that was in sight for longer was left open."""

_MARKS = frozenset(CLICK_IDS)


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """One event of a browser by its GA4 name. Its repr says nothing."""

    name: str
    location: str = ""
    referrer: str = ""
    term: str = ""
    seconds: float | None = None
    items: tuple[tuple[str, str], ...] = ()
    """Id and category of each product."""


@dataclass(slots=True, repr=False)
class Reading:
    """Events in the order sent, why others are dropped, and by which names identity was offered."""

    events: list[Seen] = field(default_factory=list)
    dropped: Counter[Drop] = field(default_factory=Counter)
    identity: Counter[str] = field(default_factory=Counter)

    def drop(self, why: Drop, count: int = 1) -> None:
        """Count something that is not taken."""
        self.dropped[why] += count

    def refuses(self, name: object) -> bool:
        """Return whether an event must not come in by its name, counted where that is so."""
        if not isinstance(name, str):
            self.drop(Drop.MALFORMED)
            return True
        why = REFUSED.get(name)
        if why is not None:
            self.drop(why)
        return why is not None

    def without_identity(self, said: Any) -> Mapping[str, Any]:
        """Return an object, empty where it is none; names of fields that say who somebody is are counted."""
        if type(said) is not dict:
            return {}
        # Nearly always there is none, and that is found without making a set.
        if not IDENTITY.isdisjoint(said):
            for name in said.keys() & IDENTITY:
                self.identity[name] += 1
        return said

    def text(self, said: Any) -> str:
        """Return a text or a whole number as text; empty for anything else, and for what is too long."""
        if type(said) is int:
            return str(said)
        if type(said) is not str:
            return ""
        if len(said) > MOST_TEXT:
            self.drop(Drop.TOO_LONG)
            return ""
        return said

    def url(self, said: Any) -> str:
        """Return a URL; the marks that advertisers hung on it are counted by name, and fall off with its query."""
        url = self.text(said)
        query = url.partition("?")[2]
        if query:
            for part in query.partition("#")[0].split("&", MOST_MARKS)[:MOST_MARKS]:
                name = part.partition("=")[0]
                if name in _MARKS:
                    self.identity[name] += 1
        return url

    def seconds(self, milliseconds: Any) -> float | None:
        """Return a time in sight; None for what is no time."""
        if type(milliseconds) not in (int, float) or not 0 <= milliseconds < float("inf"):
            return None
        return float(min(milliseconds / 1_000, MOST_SECONDS))

    def items(
        self, said: Any, identity: tuple[str, ...], category: tuple[str, ...]
    ) -> tuple[tuple[str, str], ...]:
        """Return id and category of the products of a list, each by the first field that says it."""
        if type(said) is not list:
            return ()
        found = (
            (self.first(each, identity), self.first(each, category))
            for each in said[:MOST_ITEMS]
            if type(each) is dict
        )
        return tuple(item for item in found if item[0])

    def first(self, said: Mapping[str, Any], names: tuple[str, ...]) -> str:
        """Return the first of these fields that says something."""
        for name in names:
            if text := self.text(said.get(name)):
                return text
        return ""
