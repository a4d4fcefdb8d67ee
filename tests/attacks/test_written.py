"""docs/privacy-of-statistics.md says what is computed. The last file of this folder, so that the attacks were made."""

import pytest

from tests.attacks import document
from tests.attacks.conftest import DAYS
from tests.attacks.results import KEPT, as_written
from tests.attacks.utility import utility_table
from tests.attacks.visits import needs_data

pytestmark = needs_data


def test_the_table_of_utility_is_what_is_computed() -> None:
    assert document.part("utility") == utility_table()


def test_the_tables_of_attacks_are_what_they_found() -> None:
    """All chance is drawn from seeds, so the same tree finds the same; another tree needs `--document`."""
    needed = {*document.TRIED, *document.UNPROTECTED}
    if DAYS != 1 or not needed <= KEPT.keys():
        pytest.skip("compared where all attacks were made, on one day of each shop")
    found = {name: {variant: as_written(each) for variant, each in KEPT[name].items()} for name in KEPT}
    assert document.part("attacks") == document.attack_table(found)
    assert document.part("unprotected") == document.unprotected_table(found)
