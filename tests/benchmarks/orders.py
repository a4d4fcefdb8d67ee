"""The orders worker beside what people would use instead, in turns, each with as many orders as keep it busy."""

import sys
from collections import defaultdict
from dataclasses import asdict
from statistics import median

from deploy.local.stack import Stack
from tests.benchmarks.arena import Arena
from tests.benchmarks.entrants import AT_HOME, PEERS, Ours, entrant
from tests.benchmarks.race import Lap, run
from tests.benchmarks.result import Result, table

FEWEST_ORDERS = 5_000
SIZES = (5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 120_000)
"""How many orders a run may have: contestants of about the same speed share a topic."""
FIRST = {
    "orders": 60_000, "floor": 60_000, "plain": 5_000, "faust-one": 5_000, "faust-take": 10_000,
    "faststream-one": 5_000, "faststream-batch": 40_000, "quix": 20_000,
}  # fmt: skip
"""Contestants in the order of running, and what they are given in the first round."""
SECONDS = 8.0
GOALS = {
    "orders/floor": 0.8,
    "orders/faust-one": 10.0,
    "orders/faust-take": 4.0,
    "orders/faststream-one": 18.0,
    "orders/faststream-batch": 1.2,
}


def measure(stack: Stack, rounds: int) -> Result:
    """Let everybody run in turns. A peer that loses or doubles an order is out; if it is ours, so is the benchmark."""
    return compare(Arena(stack), [name for name in FIRST if name in AT_HOME or PEERS.exists()], rounds)


def compare(arena: Arena, names: list[str], rounds: int, most_orders: int = SIZES[-1]) -> Result:
    """Compare some contestants."""
    laps: dict[str, list[Lap]] = defaultdict(list)
    out: dict[str, str] = {}
    sizes = {name: min(FIRST[name], most_orders) for name in names}
    for _ in range(rounds):
        for name in [each for each in names if each not in out]:
            try:
                lap = run(arena, entrant(name, arena), sizes[name])
            except AssertionError as error:
                if name == Ours.name:
                    raise
                out[name] = str(error)
                print(f"{name:18} is out: {error}", file=sys.stderr, flush=True)
                continue
            laps[name].append(lap)
            sizes[name] = min(most_orders, _size(lap.events_per_second))
            print(_line(lap), file=sys.stderr, flush=True)
    ratios = {
        f"orders/{name}": [
            ours.events_per_second / theirs.events_per_second
            for ours, theirs in zip(laps["orders"], laps[name], strict=True)
        ]
        for name in names
        if name != Ours.name and name not in out
    }
    goals = {name: goal for name, goal in GOALS.items() if name in ratios}
    figures: dict[str, object] = {name: [asdict(lap) for lap in each] for name, each in laps.items()}
    return Result(ratios, goals, figures | {"out": out}, "\n\n".join([_table(laps), *_said(out)]))


def _said(out: dict[str, str]) -> list[str]:
    return [f"**{name}** did not do its work: {why}." for name, why in out.items()]


def _size(events_per_second: float) -> int:
    """Return the number of orders that takes about as long as it should, at least the fewest."""
    return min(SIZES, key=lambda size: abs(size - events_per_second * SECONDS))


def _table(laps: dict[str, list[Lap]]) -> str:
    head = (
        "contestant",
        "events/s",
        "spread",
        "CPU s per 1,000",
        "broker",
        "database",
        "memory MiB",
        "orders",
    )
    return table(head, [_row(name, each) for name, each in laps.items()])


def _row(name: str, laps: list[Lap]) -> tuple[object, ...]:
    rates = [lap.events_per_second for lap in laps]
    return (
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        f"{median(lap.processor_seconds for lap in laps):.3f}",
        f"{median(lap.broker_seconds for lap in laps):.3f}",
        f"{median(lap.database_seconds for lap in laps):.3f}",
        f"{max(lap.resident_mib for lap in laps):.0f}",
        f"{laps[-1].orders:,}",
    )


def _line(lap: Lap) -> str:
    return (
        f"{lap.contestant:18}{lap.events_per_second:8,.0f} events/s{lap.seconds:7.1f} s"
        f"{lap.processor_seconds:8.3f} CPU s per 1,000 (broker {lap.broker_seconds:.3f}, "
        f"database {lap.database_seconds:.3f}){lap.resident_mib:6.0f} MiB"
    )
