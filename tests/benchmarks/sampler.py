"""Runs a worker and, on demand, says which part of its processor time is sealing, and how long it holds keys.

`python -m tests.benchmarks.sampler OUT MODULE` is `python -m MODULE` with a look at the running frames every 5 ms of
processor time between two SIGUSR2; after the second, OUT holds the counts as JSON.
"""

import contextlib
import json
import runpy
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from services.kernel.sealing.lease import Lease

EVERY_SECONDS = 0.005
_SEALING = ("jwe", "keys", "keyring", "lease", "place", "wire")
PARTS = {f"/kernel/sealing/{name}.py": "sealing" for name in _SEALING} | {"/dispatch/label_jwe.py": "label"}


class Sampler:
    """Counts what runs."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._counts: Counter[str] = Counter()
        self._running = False
        self._longest_lease_seconds = 0.0

    def toggle(self, *_: object) -> None:
        """Begin, or end and write down."""
        self._running = not self._running
        if self._running:
            self._counts.clear()
            self._longest_lease_seconds = 0.0
            signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = {"counts": self._counts, "longest_lease_seconds": self._longest_lease_seconds}
        partial = self._out.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.rename(self._out)

    def look(self, _: int, frame: FrameType | None) -> None:
        """Count one look under the innermost part that anybody asked about."""
        self._counts["all"] += 1
        while frame is not None:
            for path, part in PARTS.items():
                if frame.f_code.co_filename.endswith(path):
                    self._counts[part] += 1
                    return
            frame = frame.f_back

    def watch_leases(self) -> None:
        """Note how long after its request a lease was let go of: no key is used later than that."""
        original = Lease.drop

        def drop(lease: Lease) -> None:
            if lease._answers:
                sent_at = lease._ends_at - 10.0
                self._longest_lease_seconds = max(self._longest_lease_seconds, time.monotonic() - sent_at)
            original(lease)

        Lease.drop = drop  # type: ignore[method-assign]


def main(out: str, module: str) -> None:
    """Run the module as if it had been started by itself."""
    sampler = Sampler(Path(out))
    sampler.watch_leases()
    signal.signal(signal.SIGUSR2, sampler.toggle)
    signal.signal(signal.SIGPROF, sampler.look)
    signal.siginterrupt(signal.SIGPROF, False)
    sys.argv = [module]
    with contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
