"""The door for clicks beside the same route that forwards the raw JSON, and beside a bare one: one page a request."""

import itertools
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from urllib.request import urlopen

from deploy.local import stack as local
from deploy.local.ports import LOOPBACK, choose
from deploy.local.stack import Stack
from services.gateway.clicks.collect import COLLECT
from tests.benchmarks import http_load
from tests.benchmarks.bare_clicks import BARE
from tests.benchmarks.costs import Cost, Costs
from tests.benchmarks.gateway import await_listening
from tests.benchmarks.result import Result, table
from tests.fixtures.counted import counted
from tests.fixtures.lethe import lethe

SECONDS = 6.0
WARM_UP_SECONDS = 2.0
CONNECTIONS = 32
PAGES_OF_ONE = 5
"""Pages of one visitor. What a visitor does twice in a day is not sent twice, so nobody comes back."""
MADE = 4_000
ITEMS = 500
TERMS = 200
SHOP, ORIGIN = "bench", "https://bench.example"
GOALS = {"collect/raw": 0.7}
SITE = {
    "origins": [ORIGIN],
    "routes": ["/", "/p/{item}", "/search", "/cart", "/help/*"],
    "search_parameter": "q",
}
SETTINGS = {"gateway": {"trusted_proxies": json.dumps([f"{LOOPBACK}/32"]), "flush_seconds": "5"}}
"""Visitors have addresses of their own, and leave once in a lap: an hour's pages would outlast the measurement."""


@dataclass(frozen=True)
class Door:
    """Somebody who takes pages."""

    port: int
    pid: int
    path: str = COLLECT


@dataclass(frozen=True)
class Lap:
    """One stretch of load on one door."""

    pages_per_second: float
    costs: dict[str, Cost]
    """Processor seconds for 1,000 pages, and memory."""


def measure(stack: Stack, rounds: int) -> Result:
    """Load both doors in turns; every page that ours was sent must have been counted as taken."""
    platform = local.start(stack.state, only=("keyring", "gateway"), settings=SETTINGS)
    _set_site(platform)
    laps: dict[str, list[Lap]] = defaultdict(list)
    with _bare(platform) as (port, pid):
        doors = {
            "collect": Door(platform.identity.ports["gateway-1:http"], platform.pid("gateway-1")),
            "raw": Door(port, pid),
            "bare": Door(port, pid, BARE),
        }
        for number in range(rounds + 1):
            for name, door in doors.items():
                lap = _lap(door, platform.pid("kafka"), SECONDS if number else WARM_UP_SECONDS)
                if number:
                    laps[name].append(lap)
    lost, sent = (_counted(platform, f"lethe_cells_{each}_total") for each in ("dropped", "sent"))
    assert not lost, f"{lost} contributions were given up: what was measured is not the work"
    assert sent, "none came to Kafka: what was measured is not the work"
    ratios = {f"collect/{name}": _ratio(laps["collect"], laps[name]) for name in ("raw", "bare")}
    return Result(
        ratios, GOALS, {name: [_figures(lap) for lap in each] for name, each in laps.items()}, _table(laps)
    )


def _set_site(platform: Stack) -> None:
    path = platform.state / "tmp" / "bench-site.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(SITE))
    lethe(platform.state, "sites", "set", SHOP, "--file", str(path))


def _lap(door: Door, broker: int, seconds: float) -> Lap:
    costs = Costs({"itself": door.pid, "broker": broker})
    answered, took_seconds = http_load.run(door.port, requests(door.path), seconds, CONNECTIONS)
    used = {
        name: Cost(1_000 * cost.processor_seconds / answered, cost.resident_mib)
        for name, cost in costs.read().items()
    }
    return Lap(answered / took_seconds, used)


def _ratio(ours: list[Lap], theirs: list[Lap]) -> list[float]:
    return [mine.pages_per_second / other.pages_per_second for mine, other in zip(ours, theirs, strict=True)]


def requests(path: str = COLLECT) -> Iterator[bytes]:
    """Yield requests for ever: so many pages of each visitor, who is somebody new each time."""
    chance = random.Random(7)
    # Nobody comes back in a later lap either.
    first = random.SystemRandom().randrange(1 << 24)
    # Written around the address, so that making them costs the machine nothing worth measuring.
    made = [_request(path, chance, browser=number // PAGES_OF_ONE % 40) for number in range(MADE)]
    for number, (head, rest) in enumerate(itertools.cycle(made)):
        visitor = first + number // PAGES_OF_ONE
        address = b"20.%d.%d.%d" % (visitor >> 16 & 255, visitor >> 8 & 255, visitor & 255)
        yield b"%bX-Forwarded-For: %b\r\n%b" % (head, address, rest)


def _request(path: str, chance: random.Random, browser: int) -> tuple[bytes, bytes]:
    version = f"{100 + browser}.0"
    body = json.dumps(_page(chance)).encode()
    head = (
        f"POST {path}?shop={SHOP} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\n"
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:{version}) Gecko/20100101 Firefox/{version}\r\n"
        "Accept: */*\r\nAccept-Language: en-GB,en;q=0.5\r\nContent-Type: text/plain;charset=UTF-8\r\n"
    )
    return head.encode(), b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _page(chance: random.Random) -> dict[str, object]:
    item, before = (f"SKU{int(chance.paretovariate(0.6)) % ITEMS}" for _ in range(2))
    page: dict[str, object] = {
        "page_location": f"/p/{item}?utm_source=mail", "page_referrer": f"/p/{before}",
        "engagement_time_msec": 1_000 * chance.choice((0, 10, 30, 60)),
    }  # fmt: skip
    items = [{"item_id": item, "item_category": "lights"}]
    events: list[dict[str, object]] = [{"name": "view_item", "params": {"items": items}}]
    if chance.random() < 0.2:
        events.append({"name": "add_to_cart", "params": {"items": items}})
    if chance.random() < 0.2:
        term = f"lamp {chance.randrange(TERMS)}"
        events.append({"name": "search", "params": {"search_term": term}})
    return page | {"events": events}


def _counted(platform: Stack, metric: str) -> float:
    """Return how many contributions of visitors to cells a metric of the gateway's says, whatever its labels."""
    with urlopen(f"{platform.health_url('gateway-1')}/metrics", timeout=10) as page:
        return counted(page.read().decode(), metric)


@contextmanager
def _bare(platform: Stack) -> Iterator[tuple[int, int]]:
    """Run the bare route in a process of its own; return its port and pid."""
    port = choose(["bare"], {})["bare"]
    secret = platform.secrets.path("gateway", "kafka_password")
    known = (str(port), platform.kafka, str(secret), json.dumps({**SITE, "storefront": SHOP}))
    command = [sys.executable, "-m", "tests.benchmarks.bare_clicks", *known]
    process = subprocess.Popen(command)
    try:
        await_listening(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _figures(lap: Lap) -> dict[str, float]:
    costs = {f"{name} CPU s per 1,000": round(cost.processor_seconds, 4) for name, cost in lap.costs.items()}
    return {"pages_per_second": round(lap.pages_per_second), **costs}


def _table(laps: dict[str, list[Lap]]) -> str:
    rows = table(
        ("door", "pages/s", "spread", "CPU s per 1,000", "broker", "memory MiB"),
        [_row(name, each) for name, each in laps.items()],
    )
    ours, raw, bare = (_cost(laps[name], "itself") for name in ("collect", "raw", "bare"))
    return (
        f"{rows}\n\nBy the doors' own processor time the ratios are {raw / ours:.2f} to the same route and "
        f"{bare / ours:.2f} to the bare one: a busy machine disturbs them less than the rates."
    )


def _row(name: str, laps: list[Lap]) -> tuple[str, ...]:
    rates = [lap.pages_per_second for lap in laps]
    spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
    costs = (f"{_cost(laps, part):.3f}" for part in ("itself", "broker"))
    memory = max(lap.costs["itself"].resident_mib for lap in laps)
    return (name, f"{median(rates):,.0f}", spread, *costs, f"{memory:.0f}")


def _cost(laps: list[Lap], part: str) -> float:
    return median(lap.costs[part].processor_seconds for lap in laps)
