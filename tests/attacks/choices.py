"""What a shop has chosen to count, asked of the gateway's own code: products or categories, by hours or by days."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from schemas.clicks import CROWD, Kind
from services.gateway.behind import Behind
from services.gateway.clicks.anonymiser import Anonymiser, Mixing
from services.gateway.clicks.contribution import Contribution
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from tests.attacks.played import DayKeyring, HandClock, now
from tests.attacks.visits import AGENTS, DAY, SHOP

Named = tuple[str, str, str]
"""Kind, window, text."""


class Chooser:
    """Says under which names the gateway counts a look at a product, in a shop that has chosen so."""

    def __init__(
        self,
        categories: Mapping[str, str],
        *,
        products: Literal["item", "category"] = "item",
        hourly: bool = False,
    ) -> None:
        self._site = Site(
            storefront=SHOP, origins=("https://corner.example",), routes=("/",),
            products=products, categories=dict(categories),
        )  # fmt: skip
        self._clock = HandClock()
        keyring = DayKeyring(self._clock, 0)
        mixing = Mixing(CROWD, frozenset(Kind) if hourly else frozenset())
        self._anonymiser = Anonymiser(keyring, Behind(keyring, None), self._clock, mixing, "1")  # type: ignore[arg-type]
        now(self._anonymiser._key.ask())
        self._noted = _Noted()
        self._anonymiser._cells = self._noted  # type: ignore[assignment]
        self._anonymiser._gone = self._noted  # type: ignore[assignment]
        self._known: dict[tuple[str, int], frozenset[Named]] = {}

    def names(self, article: str, hour: int) -> frozenset[Named]:
        """Return under which names one look at an article in an hour of the day is counted."""
        if (article, hour) not in self._known:
            self._clock.at = DAY + timedelta(hours=hour)
            self._noted.names.clear()
            self._anonymiser.take(self._site, "198.18.0.1", AGENTS[0], [Page(location="", item=article)])
            self._known[article, hour] = frozenset(self._noted.names)
        return self._known[article, hour]


class _Noted:
    """Stands where cells are sealed, and where it is known what has left: everything has, so that nothing waits."""

    def __init__(self) -> None:
        self.names: list[Named] = []

    def contribution(
        self, _key: object, _shop: str, _visitor: object, kind: Kind, window: str, text: str
    ) -> Contribution:
        self.names.append((kind, window, text))
        return Contribution(kind, window, "", "", "", "")

    def holds(self, _key: int, _contribution: Contribution) -> bool:
        return True
