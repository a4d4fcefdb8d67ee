"""After everything else: what all those crashes have left lying about."""

import pytest

from tests.faults.faulty import Faulty


@pytest.mark.full
def test_no_planted_text_lies_anywhere_after_all_those_crashes(faulty: Faulty) -> None:
    """Every segment, table, dead row, write-ahead log, log, metrics page, temporary and other file (O3, T1)."""
    assert faulty.traces() == []
