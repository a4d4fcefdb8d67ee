"""Published numbers cannot be subtracted until somebody is left (C3, U3)."""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from typing import Literal

import pytest

from tests.attacks.choices import Chooser
from tests.attacks.published import (
    Baskets,
    Case,
    Numbers,
    answered,
    baskets,
    between_kinds,
    between_levels,
    between_windows,
    counted,
    designed,
    exact,
    of_mass,
    shelf_of,
)
from tests.attacks.results import keep
from tests.attacks.visits import invoices, needs_data

pytestmark = needs_data
Asked = Callable[[Baskets, Numbers], list[Case]]
CROWD = 10
ASKED, LEARNED_ON = range(6), range(100, 106)
CHOSEN: dict[Asked, tuple[tuple[Literal["item", "category"], bool], ...]] = {
    between_windows: (("item", False), ("item", True)),
    between_levels: (("item", False), ("category", False)),
}
"""Both shops that a question is asked of: nothing that either publishes can be subtracted from anything else."""


def cases(question: Asked, days: range, crowd: int, *, everything: bool) -> list[Case]:
    """Return the questions of several days: of exact numbers at every level, or of what the design publishes."""
    found = []
    for day in days:
        drawn = baskets(crowd, day)
        own = {**drawn.items, **drawn.carts}
        if everything:
            told = own if question is of_mass else {**own, **drawn.hours, **drawn.categories}
            found += question(drawn, exact(told, crowd))
        elif shops := CHOSEN.get(question):
            for chosen in shops:
                found += question(drawn, designed(counted(drawn, shop(*chosen)), crowd))
        else:
            found += question(drawn, designed(own, crowd))
    return found


@cache
def shop(products: Literal["item", "category"], hourly: bool) -> Chooser:
    """Return a shop that has all articles, and has chosen so."""
    articles = {article for _, lines in invoices().values() for article, _ in lines}
    return Chooser({article: shelf_of(article) for article in articles}, products=products, hourly=hourly)


@pytest.mark.parametrize(
    ("name", "question", "crowd"),
    [
        ("difference of two kinds", between_kinds, CROWD),
        ("a day less its hours", between_windows, 5),
        ("a category less its product", between_levels, CROWD),
        ("what was dropped, less what is known", of_mass, CROWD),
    ],
)
def test_no_difference_isolates_less_than_a_crowd(name: str, question: Asked, crowd: int) -> None:
    """A plain threshold tells all of these groups; one length, one level and multiples of the crowd tell none.

    Where a shop is counted in one length and at one level, there is no difference to begin with: no claim can be made.
    """
    learned_on = cases(question, LEARNED_ON, crowd, everything=False)
    asked = cases(question, ASKED, crowd, everything=False)
    plain_on = cases(question, LEARNED_ON, crowd, everything=True)
    plain = answered(plain_on, cases(question, ASKED, crowd, everything=True), crowd, learned=False)
    real = answered(learned_on, asked, crowd, learned=False)
    scholar = answered(learned_on, asked, crowd, learned=True)
    keep(name, real=real, naive=plain, **{"real, learned on other days": scholar})
    assert plain.claims and plain.rate == 1.0
    assert bool(real.claims) is (question not in CHOSEN)
    assert {case.difference for case in asked} == {None} or question not in CHOSEN
    assert not real.wins
    assert scholar.rate < 0.5


def test_no_difference_of_two_kinds_makes_an_answer_certain() -> None:
    """Rounding leaves some answers likelier (only noise would not), but behind each difference stand many."""
    behind: dict[int | None, Counter[int]] = defaultdict(Counter)
    for case in cases(between_kinds, ASKED, CROWD, everything=False):
        behind[case.difference][case.true] += 1
    often = [answers for answers in behind.values() if answers.total() >= 100]
    assert often
    assert max(answers.most_common(1)[0][1] / answers.total() for answers in often) < 0.3
