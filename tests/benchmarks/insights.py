"""Reading recommendations beside a bare route that has them in a dictionary: products by their popularity."""

import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

import orjson

from deploy.local import stack as local
from deploy.local.ports import LOOPBACK, choose
from deploy.local.stack import Stack
from tests.benchmarks import http_load
from tests.benchmarks.costs import Cost, Costs
from tests.benchmarks.gateway import await_listening
from tests.benchmarks.result import Result, table
from tests.fixtures import evidence
from tests.fixtures.lethe import lethe

SECONDS = 4.0
WARM_UP_SECONDS = 1.0
CONNECTIONS = 32
ITEMS = 10_000
LISTED = 10
SHOP = "bench"
GOALS = {"insights/bare": 0.9}
_FILL = """
    INSERT INTO insights.ranked (storefront, listing, of, through, ends_at, items)
    SELECT $1, 'also-viewed', of, $2, now(), items::jsonb FROM unnest($3::text[], $4::text[]) AS each (of, items)
"""


def measure(stack: Stack, rounds: int) -> Result:
    """Load both in turns; both give the same lists."""
    platform = local.start(stack.state, only=("insights",))
    token = lethe(platform.state, "insights", "add", SHOP)["token"]
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    lists = {_name(number): _items(number) for number in range(ITEMS)}
    columns = list(lists), [orjson.dumps(items).decode() for items in lists.values()]
    evidence.rows(platform.admin_dsn(), _FILL, SHOP, day, *columns)
    ports = {"insights": platform.identity.ports["insights-1:http"]}
    pids = {"insights": {"itself": platform.pid("insights-1"), "database": platform.pid("postgres-data")}}
    laps: dict[str, list[tuple[float, dict[str, Cost]]]] = defaultdict(list)
    with _bare(day, lists) as (port, pid):
        ports["bare"], pids["bare"] = port, {"itself": pid}
        asked = "/v1/recommendations?item=SKU7"
        answers = {_ask(door, asked, token) for door in ports.values()}
        assert len(answers) == 1, "both must give the same list"
        for number in range(rounds + 1):
            for name, door in ports.items():
                lap = _lap(door, pids[name], token, SECONDS if number else WARM_UP_SECONDS)
                if number:
                    laps[name].append(lap)
    pairs = zip(laps["insights"], laps["bare"], strict=True)
    ratios = {"insights/bare": [ours[0] / theirs[0] for ours, theirs in pairs]}
    figures = {name: [{"reads_per_second": round(rate)} for rate, _ in each] for name, each in laps.items()}
    return Result(ratios, GOALS, figures, _table(laps))


def _ask(port: int, path: str, token: str) -> bytes:
    asked = Request(f"http://{LOOPBACK}:{port}{path}", headers={"authorization": f"Bearer {token}"})
    with urlopen(asked, timeout=10) as answer:
        return bytes(answer.read())


def _name(number: int) -> str:
    return f"SKU{number}"


def _items(number: int) -> list[tuple[str, float]]:
    chance = random.Random(number)
    return [(_name(chance.randrange(ITEMS)), float(10 * (LISTED - place))) for place in range(LISTED)]


def _lap(port: int, pids: dict[str, int], token: str, seconds: float) -> tuple[float, dict[str, Cost]]:
    costs = Costs(pids)
    answered, took_seconds = http_load.run(port, _requests(token), seconds, CONNECTIONS, b"200")
    used = {
        name: Cost(1_000 * cost.processor_seconds / answered, cost.resident_mib)
        for name, cost in costs.read().items()
    }
    return answered / took_seconds, used


def _requests(token: str) -> Iterator[bytes]:
    """Yield questions for ever: a few products are asked for often, most of them seldom."""
    chance = random.Random(7)
    names = [_name(int(chance.paretovariate(0.6)) % ITEMS) for _ in range(20_000)]
    head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
    made = [f"GET /v1/recommendations?item={name} {head}".encode() for name in names]
    while True:
        yield from made


@contextmanager
def _bare(day: str, lists: dict[str, list[tuple[str, float]]]) -> Iterator[tuple[int, int]]:
    """Run the bare route in a process of its own; return its port and pid."""
    port = choose(["bare"], {})["bare"]
    told = {
        of: {
            "listing": "also-viewed", "of": of, "through": day,
            "items": [{"item": name, "score": score} for name, score in items],
        }
        for of, items in lists.items()
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.json"
        path.write_bytes(orjson.dumps(told))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.bare_insights", str(port), str(path)]
        )
        try:
            await_listening(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def _table(laps: dict[str, list[tuple[float, dict[str, Cost]]]]) -> str:
    head = ("route", "reads/s", "spread", "CPU s per 1,000", "database", "memory MiB")
    rows = []
    for name, each in laps.items():
        rates = [rate for rate, _ in each]
        itself = median(costs["itself"].processor_seconds for _, costs in each)
        database = (
            f"{median(costs['database'].processor_seconds for _, costs in each):.3f}"
            if "database" in each[0][1]
            else "–"
        )
        memory = max(costs["itself"].resident_mib for _, costs in each)
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        rows.append((name, f"{median(rates):,.0f}", spread, f"{itself:.3f}", database, f"{memory:.0f}"))
    return table(head, rows)
