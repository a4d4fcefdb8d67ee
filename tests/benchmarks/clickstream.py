"""The clickstream worker beside a plain upsert of the same cells, and beside a Faust table that keeps the same."""

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from confluent_kafka import KafkaException

from deploy.local.stack import Stack
from schemas.clicks import Kind
from schemas.topics import CLICKS
from tests.benchmarks.arena import Arena
from tests.benchmarks.contestants.cells_floor import TABLES
from tests.benchmarks.contestants.task import Task
from tests.benchmarks.meter import Meter
from tests.benchmarks.result import Result, table
from tests.fixtures import clicks, evidence
from tests.fixtures.clicks import Door

CELLS = 240_000
"""What waits for the worker and the floor."""
FEW_CELLS = 24_000
"""What waits for Faust, which takes as long for it."""
DISTINCT, VISITORS = 3_000, 4_000
CELLS_PER_RECORD = 200
"""As many as the gateway sends together."""
WARM_UP = 0.15
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
GOALS = {"clickstream/floor": 0.8, "clickstream/faust-table": 5.0}
LOGS = Path("build/bench-logs")
_OURS = "closing, cell, contribution, tally, outbox, ending, timer"
Progress = list[tuple[float, int]]
"""When how many cells had been read."""


@dataclass(frozen=True)
class Lap:
    """What one run came to."""

    contestant: str
    cells: int
    cells_per_second: float
    processor_seconds: float
    """Of its own processes, per 1,000 cells."""
    database_seconds: float
    resident_mib: float


def measure(stack: Stack, rounds: int) -> Result:
    """Let the three run in turns."""
    arena = Arena(stack)
    stack.stop_worker(stack.add("clickstream"))
    many = pour(arena, CLICKS.name, CELLS)
    few_topic = arena.new_topic("cells-few")
    few = pour(arena, few_topic, FEW_CELLS)
    floor_dsn = arena.platform.new_database("bench")
    evidence.rows(floor_dsn, TABLES.split(";")[0])
    evidence.rows(floor_dsn, TABLES.split(";")[1])
    laps: dict[str, list[Lap]] = defaultdict(list)
    for _ in range(rounds):
        _keep(laps, ours(arena, many))
        _keep(laps, peer(arena, "floor", "cells_floor", CLICKS.name, floor_dsn, CELLS, many))
        _keep(laps, peer(arena, "faust-table", "cells_faust", few_topic, "", FEW_CELLS, few))
    ratios = {
        f"clickstream/{name}": [
            mine.cells_per_second / theirs.cells_per_second
            for mine, theirs in zip(laps["clickstream"], laps[name], strict=True)
        ]
        for name in ("floor", "faust-table")
    }
    return Result(
        ratios, GOALS, {name: [asdict(lap) for lap in each] for name, each in laps.items()}, _table(laps)
    )


def _keep(laps: dict[str, list[Lap]], lap: Lap) -> None:
    laps[lap.contestant].append(lap)
    print(f"{lap.contestant:14}{lap.cells_per_second:10,.0f} cells/s", file=sys.stderr, flush=True)


def pour(arena: Arena, topic: str, cells: int) -> int:
    """Write so many cells to a topic, popular and rare ones; return how many contributions they are."""
    rng, door = random.Random(7), Door()
    day = clicks.today()
    made = [
        door.cell("shop-a", day, Kind.PAIR, f"p{int(rng.paretovariate(0.7)) % DISTINCT}\tp{rng.randrange(3)}",
                  f"v{rng.randrange(VISITORS)}")
        for _ in range(cells)
    ]  # fmt: skip
    clicks.send(arena.stack, door.records("shop-a", made, CELLS_PER_RECORD), topic, "admin")
    return len({(each.id, each.tag) for each in made})


def ours(arena: Arena, contributions: int) -> Lap:
    """Let the worker of the platform read everything again, with empty tables."""
    dsn = arena.stack.admin_dsn()
    tables = ", ".join(f"clickstream.{each.strip()}" for each in _OURS.split(","))
    evidence.rows(dsn, f"TRUNCATE {tables}")
    evidence.rows(dsn, "UPDATE clickstream.progress SET next_offset = 0")
    _forget_group(arena, "clickstream")
    arena.settle()

    def read() -> int:
        return int(evidence.rows(dsn, "SELECT coalesce(sum(cells), 0) FROM clickstream.tally")[0][0])

    with _metered(arena, lambda: [arena.stack.pid("clickstream-1")]) as meter:
        arena.stack.add("clickstream", wait=False)
        try:
            with meter:
                progress = _watched(read, CELLS)
            rows = evidence.rows(dsn, "SELECT count(*) FROM clickstream.contribution")[0][0]
            assert rows == contributions, f"clickstream kept {rows} of {contributions} contributions"
        finally:
            arena.stack.stop_worker("clickstream")
    return _lap("clickstream", progress, meter)


def peer(arena: Arena, name: str, module: str, source: str, dsn: str, cells: int, contributions: int) -> Lap:
    """Let one of the others read everything."""
    if dsn:
        evidence.rows(dsn, "TRUNCATE cell, contribution")
    login, target = arena.platform.admin_login, arena.new_topic(f"out-{name}")
    task = Task(arena.platform.kafka, login.username, login.password, dsn or "-", source, target, target)
    arena.settle()
    LOGS.mkdir(parents=True, exist_ok=True)
    said = LOGS / f"{module}.out"
    with said.open("wb") as out, (LOGS / f"{module}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.contestants.{module}"],
            env=os.environ | task.environment(), stdout=out, stderr=log,
        )  # fmt: skip
    try:
        with _metered(arena, lambda: [process.pid]) as meter, meter:
            _watched(lambda: (_said(said) or [(0.0, 0)])[-1][1], cells - 1_000)
        if dsn:
            rows = evidence.rows(dsn, "SELECT count(*) FROM contribution")[0][0]
            assert rows == contributions, f"{name} kept {rows} of {contributions} contributions"
    finally:
        process.kill()
        process.wait()
    return _lap(name, _said(said), meter)


@contextmanager
def _metered(arena: Arena, own: Callable[[], list[int]]) -> Iterator[Meter]:
    database = arena.stack.pid("postgres-data")
    yield Meter({"self": lambda: _living(own), "database": lambda: [database]})


def _living(own: Callable[[], list[int]]) -> list[int]:
    with suppress(Exception):
        return own()
    return []


def _watched(read: Callable[[], int], cells: int) -> Progress:
    """Look until so many cells are read."""
    progress: Progress = []
    moved_at = time.monotonic()
    while not progress or progress[-1][1] < cells:
        seen = read()
        if not progress or seen > progress[-1][1]:
            progress.append((time.time(), seen))
            moved_at = time.monotonic()
        assert time.monotonic() - moved_at < PATIENCE_SECONDS, (
            f"{progress[-1][1]} of {cells} cells and no more"
        )
        time.sleep(LOOK_SECONDS)
    return progress


def _said(path: Path) -> Progress:
    """Return what a contestant has told of itself, whole lines only."""
    lines = [line.split() for line in path.read_text().split("\n")[:-1]]
    return [(float(line[1]), int(line[2])) for line in lines if line[:1] == ["read"]]


def _lap(name: str, progress: Progress, meter: Meter) -> Lap:
    """Measure from where everybody is warm to the last cell."""
    cells = progress[-1][1]
    first = next(each for each in progress if each[1] >= cells * WARM_UP)
    done, seconds = cells - first[1], max(0.001, progress[-1][0] - first[0])
    since, until = first[0], progress[-1][0]
    return Lap(
        name, cells, done / seconds, meter.used("self", since, until) * 1_000 / done,
        meter.used("database", since, until) * 1_000 / done, meter.resident_bytes("self") / 2**20,
    )  # fmt: skip


def _forget_group(arena: Arena, group: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            arena.forget_group(group)
            return
        except KafkaException as error:
            if "GROUP_ID_NOT_FOUND" in str(error):
                return
            assert time.monotonic() < until, "the group never became empty"
            time.sleep(0.5)


def _table(laps: Mapping[str, list[Lap]]) -> str:
    head = ("contestant", "cells/s", "spread", "CPU s per 1,000", "database", "memory MiB", "cells")
    return table(head, [_row(name, each) for name, each in laps.items()])


def _row(name: str, laps: list[Lap]) -> tuple[object, ...]:
    rates = [lap.cells_per_second for lap in laps]
    return (
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        f"{median(lap.processor_seconds for lap in laps):.4f}",
        f"{median(lap.database_seconds for lap in laps):.4f}",
        f"{max(lap.resident_mib for lap in laps):.0f}",
        f"{laps[-1].cells:,}",
    )
