"""Workers of a platform started under the sampler, in the place of plain ones."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local import processes, workers
from deploy.local.stack import Stack

ANSWER_SECONDS = 30.0


@dataclass
class Profile:
    """What a sampler saw between entry and exit."""

    sealing: float = 0.0
    """Share of the processor time spent sealing, unsealing and asking for keys."""
    label: float = 0.0
    """Share spent sealing for partners."""
    longest_lease_seconds: float = 0.0


@dataclass(frozen=True)
class Watched:
    """One worker's process."""

    stack: Stack
    instance: str
    ports: Mapping[str, int]
    out: Path

    @classmethod
    def start(cls, stack: Stack, worker: str, folder: Path) -> "Watched":
        """Start the worker's first instance and return it when it is ready."""
        process, out = workers.named(worker), folder / f"{worker}.json"
        plain = stack.launch(process, f"{process.principal}-1")
        sampled = (sys.executable, "-m", "tests.benchmarks.sampler", str(out), process.module)
        launch = replace(plain, argv=sampled)
        running = processes.launch(launch, stack.layout, stack.identity.platform)
        workers.await_ready([running], stack.layout)
        return cls(stack, plain.instance, running.ports, out)

    @contextmanager
    def profile(self) -> Iterator[Profile]:
        """Look at it while the block runs; the profile is filled in when it ends."""
        found = Profile()
        self.out.unlink(missing_ok=True)
        self.stack.kill(self.instance, signal.SIGUSR2)
        yield found
        self.stack.kill(self.instance, signal.SIGUSR2)
        until = time.monotonic() + ANSWER_SECONDS
        while not self.out.exists():
            assert time.monotonic() < until, "the sampler does not answer"
            time.sleep(0.05)
        said = json.loads(self.out.read_text())
        looks = max(1, said["counts"].get("all", 0))
        found.sealing = said["counts"].get("sealing", 0) / looks
        found.label = said["counts"].get("label", 0) / looks
        found.longest_lease_seconds = said["longest_lease_seconds"]
