"""Insights without a network: the real application on in-memory twins, and a shop's day to show."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from schemas.clicks import SEPARATOR, Kind
from schemas.statistics import Listing
from services.insights.app import build, door
from services.insights.domain import Count, Dropped, Ranking, Row
from services.insights.memory import MemoryDesk, MemoryPublished
from services.insights.settings import Settings
from services.kernel.clock import SystemClock
from services.kernel.storage.memory import MemoryStorage

SHOP, OTHER_SHOP = "bookshop", "shoeshop"
TOKEN, OTHER_TOKEN = "token-of-the-bookshop", "token-of-the-shoeshop"
DAY, DAY_BEFORE = "2026-11-22", "2026-11-21"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ORIGIN = "http://insights.example"
FROM_HERE = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}


def count(kind: Kind, at_least: int, *parts: str, shop: str = SHOP, window: str = DAY) -> Count:
    """Return a published count."""
    return Count(shop, kind, window, SEPARATOR.join(parts), at_least)


def ranking(listing: Listing, *items: tuple[str, float], of: str = "", through: str = DAY) -> Ranking:
    """Return a list."""
    return Ranking(SHOP, listing, of, through, items)


PRODUCTS = (
    ("Kitchen scale, cast iron", 640), ("Oak chopping board", 510), ("Enamel kettle 1.7 l", 430),
    ("Linen tea towel, set of 3", 380), ("Carbon steel pan 28 cm", 300), ("Salt pig, stoneware", 210),
    ("Bread knife", 180), ("Preserving jar 0.5 l", 120), ("Sourdough basket", 90), ("(other)", 70), ("Egg timer", 40),
)  # fmt: skip
SEARCHES = (
    ("kettle", 320), ("chopping board", 240), ("knife", 190), ("gift", 150), ("pan 28", 110), ("bread", 80),
    ("jam jars", 50), ("tea towel linen", 30), ("<script>alert(1)</script>", 10),
)  # fmt: skip
STEPS = (
    ("(entry)", "/", 1_420), ("/", "/c/{category}", 980), ("(entry)", "/p/{item}", 870),
    ("/c/{category}", "/p/{item}", 810), ("/search", "/p/{item}", 560), ("/", "/search", 540),
    ("/p/{item}", "/p/{item}", 430), ("/p/{item}", "/cart", 310),
    ("(entry)", "/search", 210), ("/p/{item}", "/c/{category}", 190), ("/c/{category}", "/search", 120),
    ("/cart", "/p/{item}", 90), ("/p/{item}", "/", 80), ("/cart", "/help/{topic}", 60), ("(entry)", "/blog/*", 60),
    ("/blog/*", "/p/{item}", 40), ("/p/{item}", "(other)", 30), ("/search", "/search", 30),
    ("/help/{topic}", "(other)", 20),
)  # fmt: skip
DWELL = {
    "/p/{item}": (210, 480, 390, 260, 90, 20), "/c/{category}": (340, 410, 180, 60, 10, 0),
    "/": (520, 310, 90, 20, 0, 0),
    "/search": (260, 240, 80, 30, 0, 0), "/cart": (60, 110, 90, 70, 30, 0), "/blog/*": (10, 10, 20, 40, 30, 10),
}  # fmt: skip
BUCKETS = ("0-10s", "10-30s", "30-60s", "1-3m", "3-10m", "10m+")
INTERACTIONS = (
    ("add_to_cart", "Kitchen scale, cast iron", 120), ("add_to_cart", "Oak chopping board", 90),
    ("view_cart", "(none)", 80), ("add_to_wishlist", "Enamel kettle 1.7 l", 60), ("share", "Sourdough basket", 10),
)  # fmt: skip
PAIRS = (
    ("Oak chopping board", "Bread knife", 80), ("Bread knife", "Sourdough basket", 50),
    ("Enamel kettle 1.7 l", "Salt pig, stoneware", 30),
)  # fmt: skip
HOT = tuple((name, round(score * 1.37, 2)) for name, score in PRODUCTS[:9])
TRENDING = (("jam jars", 4.2), ("gift", 2.6), ("tea towel linen", 1.4))
ALSO_VIEWED = (("Bread knife", 80.0), ("Salt pig, stoneware", 30.0))


def a_day(window: str = DAY) -> Iterator[Row]:
    """Yield what was published for a day of a shop."""
    for kind, rows in ((Kind.PRODUCT, PRODUCTS), (Kind.SEARCH, SEARCHES), (Kind.TRANSITION, STEPS),
                       (Kind.INTERACTION, INTERACTIONS), (Kind.PAIR, PAIRS)):  # fmt: skip
        for *parts, at_least in rows:
            yield count(kind, at_least, *parts, window=window)
    for place, counts in DWELL.items():
        for bucket, at_least in zip(BUCKETS, counts, strict=True):
            if at_least:
                yield count(Kind.DWELL, at_least, place, bucket, window=window)
    yield Dropped(SHOP, window, 1_000)
    yield ranking(Listing.HOT, *HOT, through=window)
    yield ranking(Listing.TRENDING, *TRENDING, through=window)
    yield ranking(Listing.ALSO_VIEWED, *ALSO_VIEWED, of="Oak chopping board", through=window)


class StillClock(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def monotonic(self) -> float:
        return self.at


@dataclass
class Room:
    """The application and everything around it; answers are fresh for as long as the clock stands still."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    clock: StillClock = field(default_factory=StillClock)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.settings = Settings(
            principal="insights", instance="insights-1", kafka="-", kafka_password="-",
            database_port=1, database_name="-", database_password="-",
        )  # fmt: skip
        self.storage.now = NOW
        self.desk = MemoryDesk(self.storage, lambda: self.now)
        self.desk.admit(SHOP, TOKEN)
        self.desk.admit(OTHER_SHOP, OTHER_TOKEN)
        self.worker = build(self.settings, MemoryPublished())
        self.app = door(self.settings, self.desk, self.clock)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=ORIGIN)

    async def get(self, path: str, token: str = TOKEN, **headers: str) -> httpx.Response:
        """Ask for numbers with a reading token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers={"authorization": f"Bearer {token}"} | named)

    async def sign_in(self, token: str = TOKEN, **headers: str) -> httpx.Response:
        """Send the form as a browser does."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/sign-in", data={"token": token}, headers=FROM_HERE | named)
