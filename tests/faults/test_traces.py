"""After everything else: what all those crashes have left lying about."""

import pytest

from tests.faults.faulty import Faulty
from tests.fixtures.canaries import MARKS
from tests.fixtures.lethe import lethe


@pytest.mark.full
def test_no_planted_text_lies_anywhere_after_all_those_crashes(faulty: Faulty) -> None:
    """Every segment, table, dead row, write-ahead log, log, metrics page, temporary and other file (O3, T1)."""
    found = lethe(faulty.state, "scan", "--text-stdin", stdin="\n".join(MARKS))
    assert not found["found"], found["finds"]
    dumps = [path.name for path in faulty.state.rglob("*") if path.name.startswith(("core.", "hs_err_pid"))]
    assert not dumps, dumps
