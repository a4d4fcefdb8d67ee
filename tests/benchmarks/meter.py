"""What processes use: processor time and memory, sampled while they work."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Sample:
    """Processor seconds used so far, and resident bytes, by name."""

    at: float
    """Wall clock, as the broker's time stamps."""
    processor_seconds: dict[str, float]
    resident_bytes: dict[str, int]


@dataclass
class Meter:
    """Samples some processes in the background between entry and exit."""

    pids: dict[str, Callable[[], list[int]]]
    """The pids of each name; looked up each time, because a contestant may be started again."""
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Meter":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.samples.append(self._sample())
            if self._stop.wait(EVERY_SECONDS):
                self.samples.append(self._sample())
                return

    def _sample(self) -> Sample:
        used = {name: [usage(pid) for pid in pids()] for name, pids in self.pids.items()}
        return Sample(
            time.time(),
            {name: sum(seconds for seconds, _ in each) for name, each in used.items()},
            {name: sum(memory for _, memory in each) for name, each in used.items()},
        )

    def used(self, name: str, since: float, until: float) -> float:
        """Return the processor seconds used between two moments, to the nearest samples."""
        first = max((each for each in self.samples if each.at <= since), key=_at, default=self.samples[0])
        last = min((each for each in self.samples if each.at >= until), key=_at, default=self.samples[-1])
        share = (until - since) / max(last.at - first.at, 1e-9)
        return (last.processor_seconds[name] - first.processor_seconds[name]) * min(1.0, share)

    def resident_bytes(self, name: str) -> int:
        """Return the most memory that was resident at any sample."""
        return max(each.resident_bytes[name] for each in self.samples)


def usage(pid: int) -> tuple[float, int]:
    """Return processor seconds and resident bytes of a process and its children, ended ones included."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        seconds = times.user + times.system + times.children_user + times.children_system
        memory = process.memory_info().rss
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0, 0
    for child in children:
        try:
            times = child.cpu_times()
            seconds += times.user + times.system
            memory += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return seconds, memory


def _at(sample: Sample) -> float:
    return sample.at
