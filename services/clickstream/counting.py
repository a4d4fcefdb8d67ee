"""Counts what records say: each visitor once per cell and window, set by set."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from schemas.clicks import CellsSeen
from schemas.privacy import Event
from services.clickstream.domain import Reason, Rules, Span, Stage, Standing, bounds, flaw, identity
from services.clickstream.store import CellRow, ClickStore, Pair
from services.kernel.failpoints import Step, step
from services.kernel.storage.interface import Transaction
from services.kernel.worker.endings import CONSUMED, REPEATED
from services.kernel.worker.worker import Handled, Received

_OPEN = Standing(Stage.OPEN)


async def take_in(
    store: ClickStore, rules: Rules, tx: Transaction, lane: int, batch: Sequence[Received]
) -> list[Handled]:
    """Count the cells of a lane's records; return how each record ended."""
    spans = set(_spans(each.event for each in batch))
    with step(Step.LOAD):
        standings = await store.standings(tx, lane, spans | {span.day for span in spans})
    sieve = Sieve(rules, lane, tx.at, standings)
    for place, each in enumerate(batch):
        assert isinstance(each.event, CellsSeen)
        sieve.take(place, each.record.offset, each.event)
    counted: Counter[int] = Counter()
    with step(Step.STORE):
        if unknown := sieve.spans - standings.keys():
            await store.open(tx, lane, unknown)
        if sieve.cells:
            await store.know(tx, lane, sieve.cells.values())
            new = await store.contribute(tx, sieve.shares)
            counted.update(place for pair, place in sieve.places.items() if pair[0] + pair[1] in new)
        await store.tally(tx, lane, sieve.reasons(counted.total()))
    return [
        Handled(each, CONSUMED if counted[place] or sieve.refused[place] else REPEATED)
        for place, each in enumerate(batch)
    ]


def _spans(events: Iterable[Event]) -> Iterator[Span]:
    for event in events:
        assert isinstance(event, CellsSeen)
        for window in {cell.window for cell in event.cells}:
            if bounds(window):
                yield Span(event.storefront, window)


class Sieve:
    """The cells of a batch: what counts, each once, and why the rest does not."""

    def __init__(self, rules: Rules, lane: int, at: datetime, standings: Mapping[Span, Standing]) -> None:
        self._rules, self._lane, self._at, self._standings = rules, lane, at, standings
        self._known: dict[tuple[str, str, str, int, str], bytes | Reason] = {}
        """What was found out of a cell: its id, or why it cannot be counted."""
        self.cells: dict[bytes, tuple[Span, CellRow]] = {}
        """What is counted, by id."""
        self.shares: dict[Pair, bytes] = {}
        """What counts, each once, with the share that it brings."""
        self.places: dict[Pair, int] = {}
        """The place of the record that says it first."""
        self.refused: Counter[int] = Counter()
        """By the place of a record: how many of its cells do not count."""
        self._reasons: Counter[Reason] = Counter()
        self._offered = 0

    @property
    def spans(self) -> set[Span]:
        """Windows of what counts, and their days."""
        return {each for span, _ in self.cells.values() for each in (span, span.day)}

    def take(self, place: int, offset: int, event: CellsSeen) -> None:
        """Take in the record at a place of the batch and an offset of the log."""
        shop, known = event.storefront, self._known
        on_time: dict[str, bool] = {}
        self._offered += len(event.cells)
        for cell in event.cells:
            name = (shop, cell.kind, cell.window, event.key, cell.id)
            found = known.get(name)
            if found is None:
                found = known[name] = flaw(self._rules, shop, cell, self._lane, self._at) or identity(*name)
            if not isinstance(found, bytes):
                self._refuse(place, found)
                continue
            if cell.window not in on_time:
                on_time[cell.window] = self._on_time(Span(shop, cell.window), offset)
            if not on_time[cell.window]:
                self._refuse(place, Reason.LATE)
                continue
            if found not in self.cells:
                self.cells[found] = (Span(shop, cell.window), CellRow(found, cell.kind, cell.id, cell.sealed))
            pair = (found, cell.tag.encode())
            if pair not in self.places:
                self.places[pair] = place
                self.shares[pair] = cell.share.encode()

    def reasons(self, counted: int) -> dict[Reason, int]:
        """Return what became of all cells, given how many were new."""
        refused = self._reasons.total()
        found = self._reasons | Counter(
            {Reason.COUNTED: counted, Reason.REPEATED: self._offered - refused - counted}
        )
        return {reason: cells for reason, cells in found.items() if cells}

    def _on_time(self, span: Span, offset: int) -> bool:
        """A closed day takes none of its hours either: its dropped mass may have been told."""
        return all(self._standings.get(each, _OPEN).takes(offset) for each in {span, span.day})

    def _refuse(self, place: int, reason: Reason) -> None:
        self.refused[place] += 1
        self._reasons[reason] += 1
