"""What a stretch of work has cost each of several processes."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.meter import usage


@dataclass(frozen=True)
class Cost:
    """Of one process and its children."""

    processor_seconds: float
    resident_mib: float
    """At the end of the stretch."""


class Costs:
    """Counts from the moment it is made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: usage(pid)[0] for name, pid in pids.items()}

    def read(self) -> dict[str, Cost]:
        """Return what each has cost so far."""
        return {name: self._cost(name, *usage(pid)) for name, pid in self._pids.items()}

    def _cost(self, name: str, seconds: float, memory_bytes: int) -> Cost:
        return Cost(seconds - self._before[name], memory_bytes / 2**20)
