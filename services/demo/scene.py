"""What every step of the story knows: the platform, the shop, the carriers, who plays which part, what was found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.demo.browsing import Browsing
from services.demo.carrier import Carrier
from services.demo.copies import Copy
from services.demo.findings import Findings
from services.demo.retail import Cancellation, Purchase, Retail
from services.demo.room import Room
from services.demo.shop import Shop, one_of
from services.demo.tallies import Numbers
from services.demo.telling import Telling
from services.demo.thief import Loot
from services.demo.visitors import Browsers

DOORSTEP = "Please ring twice and wait a moment at the blue door."
"""Note on the parcel that is still under way when its customer is forgotten."""
LATE_SHARE = 0.2
"""So much of the stream comes while many people are being forgotten."""


@dataclass(frozen=True)
class Cast:
    """Who plays which part; a person is named as the shop names it."""

    closed: str
    """The sceptic's own text travels with an order of this customer; all orders close before the erasure."""
    open: str
    """One parcel of this customer is still under way."""
    crowd: tuple[str, ...]
    """Forgotten together, while others go on ordering."""


@dataclass(frozen=True)
class Script:
    """What happens, in which order."""

    cast: Cast
    note: str
    early: tuple[Purchase, ...]
    late: tuple[Purchase, ...]
    """Placed while the crowd is being forgotten."""
    cancellations: tuple[Cancellation, ...]

    @property
    def purchases(self) -> int:
        return len(self.early) + len(self.late)


@dataclass
class Erasing:
    """One erasure as the shop and the officer see it."""

    subject: str
    request: str
    salt: str
    certificates: list[str] = field(default_factory=list)
    """Of every round, the oldest first."""


@dataclass
class Scene:
    """Filled step by step."""

    room: Room
    shop: Shop
    carriers: Sequence[Carrier]
    script: Script
    browsing: Browsing
    findings: Findings
    telling: Telling
    out: Path
    storefront: str
    token: str = field(repr=False)
    browsers: Browsers = field(init=False)
    told: Numbers = field(default_factory=Counter)
    """Published numbers by kind, window and cell."""
    copies: list[Copy] = field(default_factory=list)
    """Every sealed value of the closed customer, read from the topics before the erasure."""
    loot: Loot | None = None
    first: Erasing | None = None
    second: Erasing | None = None

    @property
    def carrier_names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.carriers)


def write_script(retail: Retail, note: str, erasures: int) -> Script:
    """Choose who plays which part; raise `ValueError` for too few customers."""
    until = max(1, round(len(retail.purchases) * (1 - LATE_SHARE)))
    early, late = retail.purchases[:until], retail.purchases[until:]
    busy = {each.person for each in late} | {f"Customer {each.customer}" for each in retail.cancellations}
    counts: dict[str, int] = {}
    for each in early:
        if each.customer and each.person not in busy:
            counts[each.person] = counts.get(each.person, 0) + 1
    ranked = sorted(counts, key=lambda person: (-counts[person], person))
    if len(ranked) < 2:
        raise ValueError("too few orders to tell the story with; it takes about 20")
    cast = Cast(ranked[0], ranked[1], tuple(one_of(ranked[2:], erasures)))
    return Script(cast, note, early, late, retail.cancellations)
