"""What the topics of the anonymous stream say, counted by hand: numbers published, and visitors behind them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from schemas.clicks import CROWD, Cell, CellsSeen, Kind
from schemas.statistics import Counted, MassDropped
from services.demo.browsing import Visit
from services.demo.log_reader import Record
from services.kernel.sealing.crowds import opened

Numbers = Counter[tuple[str, str, str]]
"""Visitors by kind, window and cell."""


def told(records: Iterable[Record]) -> Numbers:
    """Return the numbers that were published."""
    said = (Counted.model_validate_json(each.value or b"") for each in _of(records, Counted.type))
    return Counter({(each.kind.value, each.window, each.cell): each.count for each in said})


def dropped(records: Iterable[Record]) -> list[int]:
    """Return the masses that were published: one for each shop and day."""
    return [
        MassDropped.model_validate_json(each.value or b"").mass for each in _of(records, MassDropped.type)
    ]


def visitors(records: Iterable[Record]) -> Numbers:
    """Return the visitors of every cell that a crowd opens: its different tags, opened with its own shares.

    A cell that was made under two keys has two ids; the larger number counts.
    """
    shares: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    cells: dict[tuple[str, str, str], Cell] = {}
    for record in _of(records, CellsSeen.type):
        for cell in CellsSeen.model_validate_json(record.value or b"").cells:
            name = (cell.kind.value, cell.window, cell.id)
            cells[name] = cell
            shares[name][cell.tag] = cell.share
    found: Numbers = Counter()
    for name, mine in shares.items():
        if len(mine) >= CROWD:
            kind, window, cell_id = name
            text = opened(cell_id, cells[name].sealed, mine, CROWD)
            found[kind, window, text] = max(found[kind, window, text], len(mine))
    return found


def floored(numbers: Numbers) -> Numbers:
    """Return numbers as coarse as they are published."""
    return Counter({name: count - count % CROWD for name, count in numbers.items()})


def really_there(visits: Sequence[Visit]) -> Counter[tuple[str, str]]:
    """Return how many visitors looked at each product and searched for each term, by kind and cell."""
    done: Counter[tuple[str, str]] = Counter()
    for visit in visits:
        done.update({(Kind.PRODUCT.value, view.item) for view in visit if view.item})
        done.update({(Kind.SEARCH.value, view.term.lower()) for view in visit if view.term})
    return done


def _of(records: Iterable[Record], kind: str) -> Iterator[Record]:
    return (each for each in records if dict(each.headers).get("ce_type") == kind.encode())
