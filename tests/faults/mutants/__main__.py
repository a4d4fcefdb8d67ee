"""`python -m tests.faults.mutants [NAME…]`: takes guards away one by one; 1 if a test is missing."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from tests.faults.mutants.catalogue import MUTANTS, ROOMS
from tests.faults.mutants.mutant import Mutant
from tests.faults.mutants.page import PAGE, page
from tests.faults.mutants.trial import KILLED, Copy, Verdict, still_green, try_out
from tests.faults.mutants.verdicts import counted, keep, load, standings

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "build" / "mutants.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the named mutants, or all; print a table; return the exit code."""
    asked = _asked(arguments)
    if asked.page:
        (ROOT / PAGE).write_text(page(ROOMS), encoding="utf-8")
        return 0
    if asked.verdicts:
        return _known()
    chosen = _chosen(asked.names, platform=not asked.without_platform)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lethe-mutants-")))
        copies = [Copy.of(ROOT, folder / f"tree-{number}") for number in range(asked.jobs)]
        needed = any(each.needs_platform and not each.own_platform for each in chosen)
        state = stack.enter_context(_platform()) if needed else None
        if wrong := still_green(copies, chosen, state):
            print("these fail with every guard in place:", *wrong, sep="\n  ")
            return 1
        verdicts = list(_tried(chosen, copies, state))
    return _summary(verdicts)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to try; default: all")
    parser.add_argument(
        "--without-platform", action="store_true", help="leave out what needs Kafka or PostgreSQL"
    )
    parser.add_argument("--jobs", type=int, default=3, help="copies of the tree that work side by side")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE}")
    parser.add_argument("--verdicts", action="store_true", help="only say what earlier runs have found")
    return parser.parse_args(arguments)


def _chosen(names: Sequence[str], *, platform: bool) -> list[Mutant]:
    unknown = set(names) - {each.name for each in MUTANTS}
    if unknown:
        sys.exit(f"no such mutant: {', '.join(sorted(unknown))}")
    named = [each for each in MUTANTS if not names or each.name in names]
    return [each for each in named if platform or not each.needs_platform]


@contextmanager
def _platform() -> Iterator[Path]:
    """Run one platform, of the tree as it is, for all the trials that only need one to talk to."""
    from deploy.local import stack
    from tests.fixtures.platform import temporary_state

    with temporary_state() as state:
        stack.start(state, only=())
        yield state


def _tried(chosen: Sequence[Mutant], copies: Sequence[Copy], state: Path | None) -> Iterator[Verdict]:
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def trial(mutant: Mutant) -> Verdict:
        copy = free.get()
        try:
            return try_out(mutant, copy, state)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for verdict in pool.map(trial, chosen):
            keep(RESULTS, verdict)
            kinds = ", ".join(verdict.errors)
            print(
                f"{verdict.verdict:9} {verdict.mutant:44} {verdict.seconds:5.1f} s  {kinds}  {verdict.why}",
                flush=True,
            )
            yield verdict


def _summary(verdicts: Sequence[Verdict]) -> int:
    alive = [each for each in verdicts if each.verdict != KILLED]
    print(f"{len(verdicts) - len(alive)} of {len(verdicts)} mutants killed")
    for each in alive:
        print(f"  {each.verdict}: {each.mutant}: {each.why}")
    print(counted(standings(MUTANTS, load(RESULTS), ROOT)))
    return 1 if alive else 0


def _known() -> int:
    found = standings(MUTANTS, load(RESULTS), ROOT)
    print(counted(found))
    alive = [f"  {how}: {name}" for name, how in found.items() if how != KILLED]
    print(*alive, sep="\n", end="\n" if alive else "")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
