"""What is left for a shop: the share of what visitors did that is published, on real data.

    python -m tests.attacks.utility             prints the table
    python -m tests.attacks.utility --document  writes it, and the table of attacks, into docs/privacy-of-statistics.md

A contribution is one visitor in one cell and window. Of an hour in which fewer than a crowd came to the shop nothing
leaves the gateway; of the rest a cell is published if a crowd contributed to it: "there" is the share of contributions
that are in published cells, "told" the share that the rounded numbers add up to.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from schemas.clicks import SEPARATOR
from services.clickstream.domain import told
from services.gateway.clicks.cells import cells_of
from tests.attacks.published import category_of
from tests.attacks.visits import CLICKS, Shape, day_of, invoices, sessions_as_they_were

CROWDS = (5, 10, 20)


class Deed(NamedTuple):
    """One visitor in one cell, at a time."""

    visitor: str
    at: datetime
    kind: str
    text: str


class Row(NamedTuple):
    """One line: the share of contributions in published cells and the share told, for each size of a crowd."""

    data: str
    kind: str
    window: str
    contributions: int
    shares: tuple[tuple[float, float], ...]


def rows() -> list[Row]:
    """Return the whole table."""
    data = {
        "shop of 20 invoices an hour": _baskets(laid=False),
        "its five days in one": _baskets(laid=True),
        "shop of 22 visitors a day": _quiet(),
        "its 177 days in one": _laid(),
    }
    return [row for name, deeds in data.items() for row in _rows(name, deeds)]


def table(found: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    heads = [f"k = {crowd}" for crowd in CROWDS]
    lines = [
        f"| Data | Kind | Window | Contributions | {' | '.join(heads)} |",
        f"|---|---|---|---:|{'---:|' * len(CROWDS)}",
    ]
    for row in found:
        shares = " | ".join(f"{there:.1%} / {said:.1%}" for there, said in row.shares)
        lines.append(f"| {row.data} | {row.kind} | {row.window} | {row.contributions:,} | {shares} |")
    return "\n".join(lines)


def _rows(data: str, deeds: Iterable[Deed]) -> Iterator[Row]:
    by_kind: dict[str, list[Deed]] = defaultdict(list)
    came: dict[datetime, set[str]] = defaultdict(set)
    for deed in deeds:
        by_kind[deed.kind].append(deed)
        came[_hour(deed.at)].add(deed.visitor)
    for kind, mine in sorted(by_kind.items()):
        for window in ("day", "hour"):
            yield _row(data, kind, window, mine, came)


def _row(data: str, kind: str, window: str, deeds: Sequence[Deed], came: Mapping[datetime, set[str]]) -> Row:
    cut = _hour if window == "hour" else _day
    everything = {(cut(deed.at), deed.text, deed.visitor) for deed in deeds}
    shares = []
    for crowd in CROWDS:
        cells: dict[tuple[datetime, str], set[str]] = defaultdict(set)
        for deed in deeds:
            if len(came[_hour(deed.at)]) >= crowd:
                cells[cut(deed.at), deed.text].add(deed.visitor)
        published = [len(who) for who in cells.values() if len(who) >= crowd]
        said = sum(told(count, crowd) for count in published)
        shares.append((sum(published) / len(everything), said / len(everything)))
    return Row(data, kind, window, len(everything), tuple(shares))


def _baskets(*, laid: bool) -> Iterator[Deed]:
    """The shop of `retail/`: an invoice is a visitor, its lines are products seen one after the other."""
    for number, (when, lines) in invoices().items():
        at = datetime.fromisoformat(when)
        at = at.replace(year=2010, month=12, day=1) if laid else at
        articles = [article for article, _ in lines]
        for article in articles:
            yield Deed(number, at, "product", article)
            yield Deed(number, at, "category", category_of(article))
        for one, other in pairwise(articles):
            if one != other:
                yield Deed(number, at, "pair", one + SEPARATOR + other)
                if category_of(one) != category_of(other):
                    yield Deed(
                        number, at, "pair of categories", category_of(one) + SEPARATOR + category_of(other)
                    )


def _quiet() -> Iterator[Deed]:
    """The shop of `clicks/` on its own calendar; its transitions only, for its events name no products."""
    for visitor, events in sessions_as_they_were():
        before = "(entry)"
        for event, at in events:
            yield Deed(visitor, at, "transition", before + SEPARATOR + event)
            before = event


def _laid() -> Iterator[Deed]:
    """The same, its days laid over one, with products and terms drawn (`visits.py`): what the gateway makes of it."""
    day = day_of(Shape("whole"))
    for visit in day.visits:
        for kind, text in cells_of(visit.page, day.site):
            yield Deed(str(visit.visitor.number), visit.at, kind, text)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


@cache
def utility_table() -> str:
    """Return the table as the document has it."""
    return table(rows())


def main() -> None:
    parser = argparse.ArgumentParser(description="What share of what visitors did is published.")
    parser.add_argument(
        "--document", action="store_true", help="write the tables of docs/privacy-of-statistics.md"
    )
    asked = parser.parse_args()
    if not CLICKS.exists():
        parser.exit(1, "the real inputs are not there: clicks, search and retail beside the project\n")
    print(utility_table())
    if asked.document:
        from tests.attacks import document

        document.write()


if __name__ == "__main__":
    main()
