"""What is published of a day, computed apart from the worker; and attacks on these numbers alone."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from schemas.clicks import SEPARATOR
from services.clickstream.domain import told, told_mass
from tests.attacks.choices import Chooser, Named
from tests.attacks.linking import Claim
from tests.attacks.results import Result, judged
from tests.attacks.visits import invoices

DATE = "2026-03-11"
_ANY = -1_000_000


@dataclass(frozen=True)
class Numbers:
    """Published counts, and the one number of what was dropped."""

    counts: Mapping[Named, int]
    mass: int


@dataclass(frozen=True)
class Case:
    """A question: how many? With the true answer, and the difference of published numbers, where there is one."""

    true: int
    difference: int | None


@dataclass(frozen=True)
class Baskets:
    """Who saw what, at every level that a shop could publish."""

    crowd: int
    items: dict[Named, set[int]] = field(default_factory=lambda: defaultdict(set))
    hours: dict[Named, set[int]] = field(default_factory=lambda: defaultdict(set))
    categories: dict[Named, set[int]] = field(default_factory=lambda: defaultdict(set))
    carts: dict[Named, set[int]] = field(default_factory=lambda: defaultdict(set))


def designed(sets: Mapping[Named, set[int]], crowd: int) -> Numbers:
    """Return what the worker publishes: its own rounding of sets that it did not count."""
    counts = {name: told(len(who), crowd) for name, who in sets.items() if told(len(who), crowd)}
    return Numbers(counts, told_mass(sum(len(who) for who in sets.values() if len(who) < crowd), crowd))


def exact(sets: Mapping[Named, set[int]], crowd: int) -> Numbers:
    """Return what a plain threshold publishes: the same cells, with their counts."""
    counts = {name: len(who) for name, who in sets.items() if len(who) >= crowd}
    return Numbers(counts, sum(len(who) for who in sets.values() if len(who) < crowd))


def counted(baskets: Baskets, shop: Chooser) -> dict[Named, set[int]]:
    """Return who was counted for what where a shop has chosen so, as the gateway takes each view of each article."""
    sets: dict[Named, set[int]] = defaultdict(set)
    for (_, hour, article), who in baskets.hours.items():
        for name in shop.names(article, int(hour[-2:])):
            sets[name] |= who
    return sets


def between_kinds(baskets: Baskets, numbers: Numbers) -> list[Case]:
    """How many saw a product and did not put it into the cart?"""
    cases = [
        (whole, [part], len(who - baskets.carts[part]))
        for whole, who in sorted(baskets.items.items())
        for part in [("interaction", DATE, f"add_to_cart{SEPARATOR}{whole[2]}")]
        if len(baskets.carts.get(part, ())) >= baskets.crowd
    ]
    return _small(cases, numbers.counts, baskets.crowd)


def between_windows(baskets: Baskets, numbers: Numbers) -> list[Case]:
    """How many came in the hours that have no crowd? Possible only where a day and its hours are both told."""
    inside: dict[Named, list[Named]] = defaultdict(list)
    for name, who in baskets.hours.items():
        if len(who) >= baskets.crowd:
            inside[name[0], DATE, name[2]].append(name)
    cases = [
        (whole, parts, len(baskets.items[whole] - _union(baskets.hours, parts)))
        for whole, parts in sorted(inside.items())
    ]
    return _small(cases, numbers.counts, baskets.crowd)


def between_levels(baskets: Baskets, numbers: Numbers) -> list[Case]:
    """How many saw a category's other products, where one of them has a crowd? Only if both levels are told."""
    inside: dict[Named, list[Named]] = defaultdict(list)
    for name, who in baskets.items.items():
        if len(who) >= baskets.crowd:
            inside["product", DATE, shelf_of(name[2])].append(name)
    cases = [
        (whole, parts, len(baskets.categories[whole] - baskets.items[parts[0]]))
        for whole, parts in sorted(inside.items())
        if len(parts) == 1
    ]
    return _small(cases, numbers.counts, baskets.crowd)


def of_mass(baskets: Baskets, numbers: Numbers) -> list[Case]:
    """How many contributed to one dropped cell? The attacker knows everything else that was dropped."""
    sets = {**baskets.items, **baskets.carts}
    dropped = [len(who) for _, who in sorted(sets.items()) if len(who) < baskets.crowd]
    whole = sum(dropped)
    return [Case(true, numbers.mass - (whole - true)) for true in dropped]


def answered(known: Iterable[Case], asked: Iterable[Case], crowd: int, *, learned: bool) -> Result:
    """Judge the attacker's answers.

    Where a difference could be the answer, it is. Else he says what is usual; having `learned` on other days of which
    he saw everything, what was behind such a difference most often. The guess is what is usual. Where there is no
    difference at all he has nothing but the guess, and claims nothing.
    """
    behind: dict[int | None, Counter[int]] = defaultdict(Counter)
    for case in known:
        behind[case.difference][case.true] += 1
        behind[_ANY][case.true] += 1
    usual = behind[_ANY].most_common(1)[0][0]
    cases = list(asked)
    if all(case.difference is None for case in cases):
        return judged([])
    guess = sum(case.true == usual for case in cases) / len(cases)
    claims: list[Claim] = []
    for case in cases:
        answer = usual
        if case.difference is not None:
            if 0 < case.difference < crowd:
                answer = case.difference
            elif learned and behind[case.difference]:
                answer = behind[case.difference].most_common(1)[0][0]
        claims.append((answer == case.true, guess))
    return judged(claims)


def _union(sets: Mapping[Named, set[int]], names: Iterable[Named]) -> set[int]:
    return set().union(*(sets[name] for name in names))


def _small(
    cases: Iterable[tuple[Named, list[Named], int]], counts: Mapping[Named, int], crowd: int
) -> list[Case]:
    """Return the questions whose answer is fewer than a crowd, with the difference where all numbers are told."""
    return [
        Case(
            true,
            counts[whole] - sum(counts[part] for part in parts) if {whole, *parts} <= counts.keys() else None,
        )
        for whole, parts, true in cases
        if 0 < true < crowd
    ]


@cache
def baskets(crowd: int, seed: int) -> Baskets:
    """Return the real shop's five days laid over one, drawn anew (with replacement) for every seed.

    A visitor is an invoice: at one moment, saw all its articles, put into the cart those of which it has several.
    """
    chance = random.Random(f"baskets {seed}")
    drawn = Baskets(crowd)
    for number, (when, lines) in enumerate(chance.choices(list(invoices().values()), k=len(invoices()))):
        for article, quantity in lines:
            drawn.items["product", DATE, article].add(number)
            drawn.hours["product", f"{DATE}T{when[11:13]}", article].add(number)
            drawn.categories["product", DATE, shelf_of(article)].add(number)
            if quantity > 1:
                drawn.carts["interaction", DATE, f"add_to_cart{SEPARATOR}{article}"].add(number)
    return drawn


def category_of(article: str) -> str:
    """Return what stands for a category: the first three characters of the article's number."""
    return article[:3]


def shelf_of(article: str) -> str:
    """Return the name under which a shop counts the category: no article is called that."""
    return f"shelf {category_of(article)}"
