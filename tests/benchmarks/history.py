"""Does an order cost more once a shop has been open for years? So many orders stored, so many people erased."""

from collections import defaultdict
from dataclasses import asdict
from statistics import median

from deploy.local.stack import Stack
from tests.benchmarks.arena import Arena
from tests.benchmarks.entrants import Ours
from tests.benchmarks.race import Lap, run
from tests.benchmarks.result import Result, table

ORDERS = 40_000
PASTS = ((10_000, 0), (100_000, 0), (1_000_000, 0), (10_000, 100_000))
"""Orders stored and people erased before; put there by SQL, the worker has no faster way of its own."""
FLAT = 1 / 1.3
MOST_ROUNDS = 2


def measure(stack: Stack, rounds: int) -> Result:
    """Measure the same orders on top of each past, by turns."""
    arena, laps = Arena(stack), defaultdict[tuple[int, int], list[Lap]](list)
    for _ in range(min(rounds, MOST_ROUNDS)):
        for past in PASTS:
            laps[past].append(run(arena, Ours(arena, *past), ORDERS))
    ratios = {
        f"orders after {_said(past)}/after {_said(PASTS[0])}": [
            later.events_per_second / first.events_per_second
            for later, first in zip(laps[past], laps[PASTS[0]], strict=True)
        ]
        for past in PASTS[1:]
    }
    figures = {_said(past): [asdict(lap) for lap in each] for past, each in laps.items()}
    return Result(ratios, dict.fromkeys(ratios, round(FLAT, 2)), figures, _table(laps))


def _said(past: tuple[int, int]) -> str:
    orders, erased = past
    return f"{erased:,} erasures" if erased else f"{orders:,} orders"


def _table(laps: dict[tuple[int, int], list[Lap]]) -> str:
    rows = [
        (
            f"{orders:,} orders, {erased:,} people erased",
            f"{median(lap.events_per_second for lap in each):,.0f}",
            f"{median(lap.processor_seconds for lap in each):.3f}",
            f"{median(lap.database_seconds for lap in each):.3f}",
        )
        for (orders, erased), each in laps.items()
    ]
    return table(("stored before", "events/s", "CPU s per 1,000", "database"), rows)
