"""What each contestant loses and doubles when it is killed in the middle of its work and started again.

Nothing is timed here, so all of them work at once, each with a database of its own.
"""

import time
from dataclasses import dataclass

from deploy.local.stack import Stack
from tests.benchmarks.arena import Arena
from tests.benchmarks.entrants import AT_HOME, PEERS, Entrant, Ours, Peer
from tests.benchmarks.orders import FIRST
from tests.benchmarks.result import Result, table

KILLED_AT = 0.4
"""The share of the events that are out when the process is killed."""
SILENCE_SECONDS = 90.0
"""Faust's session lasts 60 s: for so long nobody gets the partitions of a killed worker."""
AFTERWARDS_SECONDS = 20.0
"""How long doubled events may still come when as many are out as there should be."""


@dataclass
class Trial:
    """How far one contestant is."""

    entrant: Entrant
    orders: int
    killed: bool = False
    seen: int = 0
    moved_at: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more can be expected."""
        quiet_seconds = time.monotonic() - self.moved_at
        return self.killed and quiet_seconds > (
            AFTERWARDS_SECONDS if self.seen >= self.orders else SILENCE_SECONDS
        )


def measure(stack: Stack, rounds: int) -> Result:
    """Kill each once; `rounds` does not count here."""
    arena = Arena(stack)
    names = [name for name in FIRST if name in AT_HOME or PEERS.exists()]
    entrants = [
        Ours(arena) if name == "orders" else Peer(name, arena, arena.new_database()) for name in names
    ]
    trials = [Trial(each, each.prepare(FIRST[each.name]), moved_at=time.monotonic()) for each in entrants]
    for trial in trials:
        trial.entrant.start()
    try:
        while not all(trial.over for trial in trials):
            for trial in trials:
                _look(arena, trial)
            time.sleep(0.1)
        found = {trial.entrant.name: _found(arena, trial) for trial in trials}
    finally:
        for trial in trials:
            trial.entrant.stop()
    rows = [(name, *(f"{count:,}" for count in each.values())) for name, each in found.items()]
    head = ("contestant", "orders", "rows lost", "events lost", "events doubled")
    return Result(figures=found, table=table(head, rows))


def _look(arena: Arena, trial: Trial) -> None:
    grown = sum(arena.ends(trial.entrant.target).values()) - sum(trial.entrant.since.values())
    if grown > trial.seen:
        trial.seen, trial.moved_at = grown, time.monotonic()
    if not trial.killed and grown >= trial.orders * KILLED_AT:
        trial.entrant.kill()
        trial.entrant.start()
        trial.killed = True


def _found(arena: Arena, trial: Trial) -> dict[str, int]:
    emission = arena.emission(trial.entrant.target, trial.entrant.since)
    return {
        "orders": trial.orders,
        "rows_lost": trial.orders - trial.entrant.rows(),
        "events_lost": trial.orders - len(emission.orders),
        "events_doubled": len(emission.at) - len(emission.orders),
    }
