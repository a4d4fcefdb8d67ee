"""The gateway beside a bare Starlette route that produces the same bytes: one event a request, and a hundred."""

import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deploy.local import stack as local
from deploy.local.ports import LOOPBACK, choose
from deploy.local.stack import Stack
from tests.benchmarks import http_load
from tests.benchmarks.costs import Cost, Costs
from tests.benchmarks.result import Result, table
from tests.benchmarks.shopping import endless, placed, purchases
from tests.fixtures.shop import Shop

SECONDS = 6.0
WARM_UP_SECONDS = 1.0
START_SECONDS = 60.0
MANY = 100
CONNECTIONS = {1: 48, MANY: 8}
"""So many requests are under way at once: enough that none of the doors ever waits for the next one."""
GOALS = {"gateway/bare": 0.7, "gateway-100/bare": 0.4}


@dataclass(frozen=True)
class Door:
    """Somebody who takes events."""

    name: str
    port: int
    pids: dict[str, int]


@dataclass(frozen=True)
class Lap:
    """One stretch of load on one door."""

    events_per_second: float
    costs: dict[str, Cost]
    """Processor seconds for 1,000 events, and memory."""


def measure(stack: Stack, rounds: int) -> Result:
    """Load both doors in turns, with one event a request and with a hundred."""
    platform = local.start(stack.state, only=("keyring", "gateway"))
    with tempfile.TemporaryDirectory() as folder, _bare(platform) as bare:
        token = Shop.open(platform, Path(folder)).token
        doors = (_gateway(platform), bare)
        laps: dict[tuple[str, int], list[Lap]] = defaultdict(list)
        for number in range(rounds + 1):
            for many, door in itertools.product(CONNECTIONS, doors):
                # The first time round everybody fills caches, opens connections and learns where topics are.
                lap = _lap(door, many, token, SECONDS if number else WARM_UP_SECONDS)
                if number:
                    laps[door.name, many].append(lap)
    ratios = {name: _ratio(laps, 1 if name == "gateway/bare" else MANY) for name in GOALS}
    figures = {_label(name, many): [_figures(lap) for lap in each] for (name, many), each in laps.items()}
    return Result(ratios, GOALS, figures, _table(laps))


def _lap(door: Door, many: int, token: str, seconds: float) -> Lap:
    costs = Costs(door.pids)
    requests = http_load.posts(_bodies(many), token)
    answered, took_seconds = http_load.run(door.port, requests, seconds, CONNECTIONS[many])
    events = answered * many
    used = {
        name: Cost(1_000 * cost.processor_seconds / events, cost.resident_mib)
        for name, cost in costs.read().items()
    }
    return Lap(events / took_seconds, used)


def _bodies(many: int) -> Iterator[bytes]:
    events = endless("placed", [placed(each, "swift") for each in purchases()])
    if many == 1:
        return events
    return (b"[" + b",".join(itertools.islice(events, many)) + b"]" for _ in itertools.count())


def _gateway(platform: Stack) -> Door:
    pids = {
        "itself": platform.pid("gateway-1"), "keyring": platform.pid("keyring-1"),
        "its database": platform.pid("postgres-keyring"), "broker": platform.pid("kafka"),
    }  # fmt: skip
    return Door("gateway", platform.identity.ports["gateway-1:http"], pids)


@contextmanager
def _bare(platform: Stack) -> Iterator[Door]:
    """Run the bare route in a process of its own."""
    port = choose(["bare"], {})["bare"]
    secret = platform.secrets.path("gateway", "kafka_password")
    command = [sys.executable, "-m", "tests.benchmarks.bare_gateway", str(port), platform.kafka, str(secret)]
    process = subprocess.Popen(command)
    try:
        await_listening(port)
        yield Door("bare", port, {"itself": process.pid, "broker": platform.pid("kafka")})
    finally:
        process.terminate()
        process.wait()


def await_listening(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "the bare route does not start"
            time.sleep(0.1)


def _ratio(laps: dict[tuple[str, int], list[Lap]], many: int) -> list[float]:
    pairs = zip(laps["gateway", many], laps["bare", many], strict=True)
    return [ours.events_per_second / theirs.events_per_second for ours, theirs in pairs]


def _label(name: str, many: int) -> str:
    return name if many == 1 else f"{name}-{many}"


def _figures(lap: Lap) -> dict[str, float]:
    costs = {f"{name} CPU s per 1,000": round(cost.processor_seconds, 4) for name, cost in lap.costs.items()}
    return {"events_per_second": round(lap.events_per_second), **costs}


def _table(laps: dict[tuple[str, int], list[Lap]]) -> str:
    head = (
        "door", "events/s", "spread", "CPU s per 1,000", "keyring", "keyring's database", "broker", "memory MiB"
    )  # fmt: skip
    rows = table(head, [_row(_label(*name), each) for name, each in laps.items()])
    costs = {
        name: median(lap.costs["itself"].processor_seconds for lap in each) for name, each in laps.items()
    }
    one, many = (costs["bare", number] / costs["gateway", number] for number in (1, MANY))
    return (
        f"{rows}\n\nBy the doors' own processor time the ratios are {one:.2f} and, with {MANY} events a request, "
        f"{many:.2f}: a busy machine disturbs them less than the rates."
    )


def _row(name: str, laps: list[Lap]) -> tuple[str, ...]:
    rates = [lap.events_per_second for lap in laps]
    parts = ("itself", "keyring", "its database", "broker")
    return (
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        *(
            f"{median(lap.costs[part].processor_seconds for lap in laps):.3f}"
            if part in laps[0].costs
            else "–"
            for part in parts
        ),
        f"{max(lap.costs['itself'].resident_mib for lap in laps):.0f}",
    )
