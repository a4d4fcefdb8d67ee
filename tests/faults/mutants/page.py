"""The list of mutants for people: `docs/mutants.md`, written from what is declared."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults.mutants.mutant import Mutant

PAGE = Path("docs/mutants.md")
_HEAD = """# Guards, and the tests that miss them

A guard is real only if something turns red when it is gone. Each row below takes one guard away by one exact
replacement in one file, in a copy of the tree, and names the tests that must then fail: by what they assert, or by the
error named below them, because the absence shows so (what was held back comes through, a wait never ends, what the test
looks into is not there). By any other error they show nothing, and the mutant counts as broken. The list is declared in
`tests/faults/mutants`; a unit test checks that every replacement still applies to the tree, that every test exists, and
that this page says the same.

    python -m tests.faults.mutants                  every guard in turn (also a part of `make faults`)
    python -m tests.faults.mutants lane-lock        one of them
    python -m tests.faults.mutants --without-platform   only those that need neither Kafka nor PostgreSQL
    python -m tests.faults.mutants --verdicts       what all runs so far have found, and what of it is out of date
    python -m tests.faults.mutants --page           write this page again

The last verdict on each is in `build/mutants.json`. It is stale once the entry, the file or a file of its tests has
changed. A mutant that survives is a missing test.
"""


def page(rooms: Mapping[str, Iterable[Mutant]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for heading, mutants in rooms.items():
        rows = [f"| `{each.name}` | {each.breaks} | {_where(each)} | {_tests(each)} |" for each in mutants]
        parts += [
            f"\n## {heading}\n",
            "| Guard | Without it | Where | Noticed by |",
            "|---|---|---|---|",
            *rows,
        ]
    return "\n".join(parts) + "\n"


def _where(mutant: Mutant) -> str:
    return f"`{mutant.file}`"


def _tests(mutant: Mutant) -> str:
    tests = "<br>".join(f"`{killer.replace('|', chr(92) + '|')}`" for killer in mutant.killers)
    return f"{tests}<br>by {', '.join(mutant.fails_by)}" if mutant.fails_by else tests
