"""The orders worker in one, two and three processes that share the lanes."""

from collections import defaultdict
from dataclasses import asdict
from statistics import median

from deploy.local.stack import Stack
from tests.benchmarks.arena import Arena
from tests.benchmarks.entrants import Ours
from tests.benchmarks.race import Lap, run
from tests.benchmarks.result import Result, table

ORDERS = 60_000
COUNTS = (1, 2, 3)
MOST_ROUNDS = 2


def measure(stack: Stack, rounds: int) -> Result:
    """Let them work by turns."""
    arena, laps = Arena(stack), defaultdict[int, list[Lap]](list)
    for _ in range(min(rounds, MOST_ROUNDS)):
        for count in COUNTS:
            laps[count].append(run(arena, Ours(arena), ORDERS, count))
    rates = {count: [lap.events_per_second for lap in each] for count, each in laps.items()}
    ratios = {
        f"orders in {count}/orders in 1": [
            more / one for more, one in zip(rates[count], rates[1], strict=True)
        ]
        for count in COUNTS[1:]
    }
    return Result(
        ratios, {}, {str(n): [asdict(lap) for lap in each] for n, each in laps.items()}, _table(laps)
    )


def _table(laps: dict[int, list[Lap]]) -> str:
    head = (
        "instances",
        "events/s",
        "CPU s per 1,000, all of them",
        "broker",
        "database",
        "memory MiB, all of them",
    )
    return table(
        head,
        [
            (
                count,
                f"{median(lap.events_per_second for lap in each):,.0f}",
                f"{median(lap.processor_seconds for lap in each):.3f}",
                f"{median(lap.broker_seconds for lap in each):.3f}",
                f"{median(lap.database_seconds for lap in each):.3f}",
                f"{max(lap.resident_mib for lap in each):.0f}",
            )
            for count, each in laps.items()
        ],
    )
