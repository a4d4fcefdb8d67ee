"""Holds `docs/promises.md` to the truth: a promise marked kept needs a living test, one that ran and passed.

Run at the end of `make test`, after everything else: `python -m tests.promises`. Where a tool or real inputs are
absent some tests skip: that is said, and is no fault as long as another test of the promise has passed; with LETHE_CI
set it is one.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.outcomes import OUTCOMES

TABLE = Path("docs/promises.md")
IDS = tuple("S1 C1 C2 C3 C4 U1 U2 U3 U4 U5 U6 T1 T2 T3 T4 T5 D1 D2 D3 D4 D5 R1 R2 R3 R4 V1 V2 V3".split())  # noqa: SIM905
KEPT, NOT_YET = "kept", "not yet"
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


@dataclass(frozen=True)
class Row:
    """One promise as the table has it."""

    promise: str
    status: str
    where: str
    shown_by: str

    @property
    def tests(self) -> list[str]:
        """Return the tests that are said to show it."""
        return _TEST.findall(self.shown_by)


def read(text: str) -> list[Row]:
    """Return the rows of the table."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    return [Row(*row) for row in cells if len(row) == 4 and row[0] in IDS]


def faults(rows: list[Row], outcomes: Mapping[str, str], *, may_skip: bool = False) -> list[str]:
    """Return what is wrong with the table, a line each."""
    found = []
    if [row.promise for row in rows] != list(IDS):
        found.append(f"the table must name each of the {len(IDS)} promises once, in their order")
    for row in rows:
        if row.status not in (KEPT, NOT_YET):
            found.append(f"{row.promise}: neither {KEPT} nor {NOT_YET}")
        if row.status == KEPT and not row.tests:
            found.append(f"{row.promise}: kept, but no test shows it")
        if row.status == NOT_YET and not row.where:
            found.append(f"{row.promise}: not yet, but it does not say what is missing")
        ended = {test: outcomes.get(test, "not run") for test in row.tests}
        enough = {"passed", "skipped"} if may_skip and "passed" in ended.values() else {"passed"}
        found += [f"{row.promise}: {test} {how}" for test, how in ended.items() if how not in enough]
    return found


def main() -> None:
    """Exit 1 and say why when the table promises more than the tests show."""
    rows, outcomes = read(TABLE.read_text(encoding="utf-8")), json.loads(OUTCOMES.read_text())
    strict = faults(rows, outcomes)
    found = faults(rows, outcomes, may_skip="LETHE_CI" not in os.environ)
    for line in strict:
        print(line if line in found else f"{line}: shown here by other tests only")
    if not found:
        print("every promise marked kept has a living test")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
