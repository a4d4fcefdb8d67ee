"""The checker of `docs/promises.md` finds what it is there to find."""

from dataclasses import replace

import pytest

from tests.fixtures.outcomes import Outcomes
from tests.promises import IDS, KEPT, NOT_YET, Row, faults, read

TEST = "tests/unit/test_promises.py::test_a_true_table_has_no_faults"
ROWS = [Row(each, KEPT, "somewhere", f"`{TEST}`") for each in IDS]
PASSED = {TEST: "passed"}


def test_a_true_table_has_no_faults() -> None:
    text = "\n".join(f"| {row.promise} | {row.status} | {row.where} | {row.shown_by} |" for row in ROWS)
    assert read("| id | status | where | test |\n|---|---|---|---|\n" + text) == ROWS
    assert faults(ROWS, PASSED) == []


@pytest.mark.parametrize("outcome", ["failed", "skipped", "not run"])
def test_a_promise_whose_test_did_not_pass_is_not_kept(outcome: str) -> None:
    outcomes = {} if outcome == "not run" else {TEST: outcome}
    assert f"S1: {TEST} {outcome}" in faults(ROWS, outcomes)


@pytest.mark.parametrize(("others", "kept"), [("passed", True), ("skipped", False), ("failed", False)])
def test_a_skipped_test_is_made_up_for_by_one_that_passed_and_by_nothing_else(
    others: str, kept: bool
) -> None:
    rows = [replace(row, shown_by=f"{row.shown_by} `tests/x.py::test_y`") for row in ROWS]
    outcomes = {TEST: others, "tests/x.py::test_y": "skipped"}
    assert (faults(rows, outcomes, may_skip=True) == []) is kept
    assert faults(rows, outcomes) != []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"shown_by": ""}, "S1: kept, but no test shows it"),
        ({"status": "maybe"}, "S1: neither kept nor not yet"),
        ({"status": NOT_YET, "where": ""}, "S1: not yet, but it does not say what is missing"),
        ({"promise": "C1"}, "the table must name each of the 28 promises once, in their order"),
    ],
)
def test_a_wrong_row_is_found(change: dict[str, str], fault: str) -> None:
    assert fault in faults([replace(ROWS[0], **change), *ROWS[1:]], PASSED)


def test_the_worst_ending_of_a_parametrised_test_counts() -> None:
    outcomes = Outcomes()
    for node, how in (("t.py::a[1]", "passed"), ("t.py::a[2]", "failed"), ("t.py::a[3]", "passed")):
        outcomes.note(node, how)
    assert outcomes.found == {"t.py::a": "failed"}
