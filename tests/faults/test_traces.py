"""After everything else: what all those crashes have left lying about."""

import pytest

from tests.faults.faulty import Faulty
from tests.fixtures import search
from tests.fixtures.canaries import MARKS


@pytest.mark.full
def test_no_planted_text_lies_anywhere_after_all_those_crashes(faulty: Faulty) -> None:
    """Every segment, table, dead row, write-ahead log, log, metrics page, temporary and other file (O3, T1)."""
    assert search.found(faulty.state, MARKS) == []
    dumps = [path.name for path in faulty.state.rglob("*") if path.name.startswith(("core.", "hs_err_pid"))]
    assert not dumps, dumps
