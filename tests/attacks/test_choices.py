"""A shop is counted at one level and in one length of window: what is not counted cannot be subtracted (C3, U3)."""

import pytest

from tests.attacks.choices import Chooser

CATEGORIES = {"85123A": "lights", "71053": "lights", "22423": "cakes"}
ARTICLES = tuple(CATEGORIES)


@pytest.mark.parametrize("hourly", [False, True])
def test_a_product_is_counted_by_itself_or_with_its_category(hourly: bool) -> None:
    """Never both: a category less its products would say what few looked at."""
    by_item = Chooser(CATEGORIES, hourly=hourly)
    by_category = Chooser(CATEGORIES, products="category", hourly=hourly)
    for article, category in CATEGORIES.items():
        assert {text for _, _, text in by_item.names(article, 9)} == {article}
        assert {text for _, _, text in by_category.names(article, 9)} == {category}


def test_a_kind_is_counted_by_the_day_or_by_the_hour() -> None:
    """Never both: a day less its hours would say who came in the quiet ones."""
    by_day, by_hour = Chooser(CATEGORIES), Chooser(CATEGORIES, hourly=True)
    for hour in (0, 9, 23):
        for article in ARTICLES:
            assert {window for _, window, _ in by_day.names(article, hour)} == {"2026-03-11"}
            assert {window for _, window, _ in by_hour.names(article, hour)} == {f"2026-03-11T{hour:02}"}
