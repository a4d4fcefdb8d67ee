"""The same day without the design: what many tools do, so that each attack has something on which it must succeed.

A visitor is a hash of the date, the address and the user agent, the same in everything that he does; every page is one
record, sent when it happens, with its time, in clear.
"""

import hashlib
from collections.abc import Iterator
from functools import cache

from schemas.clicks import window_of
from services.gateway.clicks.cells import cells_of
from tests.attacks.seen import Contribution, Stream, Truth
from tests.attacks.visits import Day, Shape, Visitor, day_of


@cache
def naive(shape: Shape) -> Stream:
    """Return the day as it would lie on the topic."""
    day = day_of(shape)
    cells = list(_cells(day))
    who = {named(visit.visitor): visit.visitor.number for visit in day.visits}
    made = [(cell.id, cell.tag) for cell in cells]
    truth = Truth({name: who[name[1]] for name in made}, {(cell.id, cell.tag): cell.moment for cell in cells})
    return Stream(shape.name, (), cells, truth)


def named(visitor: Visitor) -> str:
    """Return the hash that stands for a visitor: anybody can make it again."""
    return hashlib.sha256(f"2026-03-11 {visitor.address} {visitor.agent}".encode()).hexdigest()[:12]


def _cells(day: Day) -> Iterator[Contribution]:
    position = 0
    for number, visit in enumerate(day.visits):
        window = window_of(visit.at, hourly=False)
        for kind, text in cells_of(visit.page, day.site):
            name = f"{kind}|{window}|{text}"
            yield Contribution(
                position, number, 0, number, visit.at, kind, window, name, named(visit.visitor), text
            )
            position += 1
