"""`python -m tests.benchmarks [name…]`: measure, keep the figures, bring the document up to date.

Without names everything that is timed is measured and the tables of docs/benchmarks.md are written; with names only
these, and the document stays as it is unless asked for. What else runs on the machine makes the figures worse.
"""

import argparse
import importlib
import importlib.util
import sys
import time
import traceback

from deploy.local import stack
from tests.benchmarks import report
from tests.fixtures.platform import temporary_state

MODULES = (
    "orders",
    "instances",
    "history",
    "gateway",
    "clicks",
    "dispatch",
    "latency",
    "clickstream",
    "recommendations",
    "insights",
)
"""In the order of running; each on a platform of its own."""
ROUNDS = 5
FEWER_ROUNDS = dict.fromkeys(("instances", "history", "gateway", "clicks", "clickstream", "insights"), 3)
"""Five where peers are compared, three where parts are: what is saved here the peers need."""


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*MODULES, *report.APART, []],
        metavar="name",
        help=", ".join((*MODULES, *report.APART)),
    )
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, of some parts {min(FEWER_ROUNDS.values())}")
    parser.add_argument("--document", action="store_true", help="write the tables of docs/benchmarks.md")
    parser.add_argument("--no-run", action="store_true", help="only write the tables, from build/bench.json")
    arguments = parser.parse_args()
    names = [] if arguments.no_run else arguments.names or [each for each in MODULES if _exists(each)]
    if names and not arguments.names:
        report.begin_anew()
    asked = {name: arguments.rounds or FEWER_ROUNDS.get(name, ROUNDS) for name in names}
    failed = [name for name, rounds in asked.items() if not _measured(name, rounds)]
    if arguments.document or arguments.no_run or not arguments.names:
        report.render()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _exists(name: str) -> bool:
    return importlib.util.find_spec(f"tests.benchmarks.{name}") is not None


def _measured(name: str, rounds: int) -> bool:
    """Return whether a module could be measured; one that fails costs no other its turn."""
    try:
        _measure(name, rounds)
    except Exception:
        traceback.print_exc()
        return False
    return True


def _measure(name: str, rounds: int) -> None:
    print(f"== {name}", flush=True)
    module = importlib.import_module(f"tests.benchmarks.{name}")
    with temporary_state() as state:
        platform = stack.start(state, only=())
        began = time.monotonic()
        result = module.measure(platform, rounds)
        took_seconds = time.monotonic() - began
    report.keep(name, result, rounds, took_seconds)
    print(result.table)
    ratios = {each: sum(values) / len(values) for each, values in result.ratios.items()}
    print(
        f"-- {name}: {took_seconds:.0f} s; "
        + ", ".join(f"{each} {ratio:.2f}" for each, ratio in ratios.items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
