"""What all runs so far have found of every guard, and whether it still speaks of this tree: `build/mutants.json`."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from tests.faults.mutants.mutant import Mutant
from tests.faults.mutants.trial import BROKEN, KILLED, SURVIVED, Verdict

STALE, NEVER = "stale", "never tried"


def keep(path: Path, verdict: Verdict) -> None:
    """Put a verdict in the place of the one on the same mutant; those on others stay."""
    path.parent.mkdir(exist_ok=True)
    kept = load(path) | {verdict.mutant: verdict}
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps([asdict(each) for each in kept.values()], indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def load(path: Path) -> dict[str, Verdict]:
    """Return what was kept, empty before the first run."""
    said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {each["mutant"]: Verdict(**{**each, "errors": tuple(each["errors"])}) for each in said}


def standings(mutants: Iterable[Mutant], kept: Mapping[str, Verdict], root: Path) -> dict[str, str]:
    """Return what is known of each: its verdict, or stale when entry, file or killing tests have changed since."""
    return {each.name: _standing(each, kept.get(each.name), root) for each in mutants}


def counted(found: Mapping[str, str]) -> str:
    """Return the line that says how all of them stand."""
    counts = Counter(found.values())
    told = ", ".join(f"{counts[each]} {each}" for each in (KILLED, SURVIVED, BROKEN, STALE, NEVER))
    return f"of all {len(found)}: {told}"


def _standing(mutant: Mutant, verdict: Verdict | None, root: Path) -> str:
    if verdict is None:
        return NEVER
    return verdict.verdict if verdict.digest == mutant.digest_in(root) else STALE
