"""The rows of the clickstream worker, in PostgreSQL; `store_memory.py` is the twin. Lane rows under the lane's lock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from schemas.clicks import Kind, window_of
from schemas.topics import LANES
from services.clickstream.domain import Reason, Span, Stage, Standing, bounds
from services.kernel.storage import queries
from services.kernel.storage.interface import Transaction

SQL = queries.beside(__file__)


Pair = tuple[bytes, bytes]
"""Id of a cell in a window, and a tag."""


class CellRow(NamedTuple):
    """A cell in a window."""

    id: bytes
    kind: Kind
    named: str
    """What the gateway calls it."""
    sealed: str


class Work(NamedTuple):
    """A span that is cut off in a lane and not closed; `after` is the last cell that was counted."""

    span: Span
    stage: Stage
    until: int
    after: bytes | None


class Number(NamedTuple):
    """What may be told of a cell."""

    kind: Kind
    cell: str
    visitors: int


class ClickStore(Protocol):
    """What the worker asks of its rows; every call is one statement, or a few, for the whole batch."""

    async def standings(self, tx: Transaction, lane: int, spans: Collection[Span]) -> dict[Span, Standing]:
        """Return how these spans stand in a lane; those never seen are absent."""

    async def open(self, tx: Transaction, lane: int, spans: Collection[Span]) -> None:
        """Open spans in a lane; those known stay as they are."""

    async def know(self, tx: Transaction, lane: int, cells: Collection[tuple[Span, CellRow]]) -> None:
        """Store what cells are; those known stay as they are."""

    async def contribute(self, tx: Transaction, seen: Mapping[Pair, bytes]) -> set[bytes]:
        """Store distinct contributions with their shares; return those that are new, as id and tag joined."""

    async def tally(self, tx: Transaction, lane: int, reasons: Mapping[Reason, int]) -> None:
        """Add to what became of cells."""

    async def tallies(self, tx: Transaction) -> dict[Reason, int]:
        """Return what became of the cells of all lanes."""

    async def over(self, tx: Transaction, over_before: datetime, limit: int) -> list[Span]:
        """Return spans open in some lane that ended by then, or that an operator wants closed."""

    async def open_everywhere(self, tx: Transaction, spans: Collection[Span]) -> None:
        """Open spans in every lane, so that each will say when it has closed them; those known stay as they are."""

    async def cut_off(self, tx: Transaction, lane: int, spans: Collection[Span], until: int) -> int:
        """Note for spans open in a lane (and the open hours of those that are days) where they end; return how many."""

    async def work(self, tx: Transaction, lane: int, limit: int) -> list[Work]:
        """Return spans that are cut off and not closed, earliest end first."""

    async def move(
        self, tx: Transaction, lane: int, span: Span, stage: Stage, after: bytes | None = None
    ) -> None:
        """Store how far a span is."""

    async def page(
        self, tx: Transaction, lane: int, span: Span, after: bytes | None, limit: int
    ) -> list[CellRow]:
        """Return the next cells of a span, in the order of their ids."""

    async def counts(self, tx: Transaction, cells: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of distinct tags of cells."""

    async def shares(
        self, tx: Transaction, cells: Sequence[bytes], crowd: int
    ) -> dict[bytes, dict[str, str]]:
        """Return the shares of a crowd of each cell, by tag."""

    async def propose(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> None:
        """Store numbers of distinct texts until every lane has closed the span; the larger of two is kept."""

    async def candidates(self, tx: Transaction, span: Span, limit: int) -> list[Number]:
        """Return proposed numbers of a span."""

    async def publish(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> list[Number]:
        """Turn proposed numbers into published ones; return those that were not published before."""

    async def drop(self, tx: Transaction, lane: int, span: Span, mass: int) -> None:
        """Add to what was dropped of a span's day in a lane."""

    async def sweep(self, tx: Transaction, lane: int, span: Span, cells: Sequence[bytes], limit: int) -> int:
        """Delete tags of cells, at most so many, and the cells when none is left; return how many tags."""

    async def complete(self, tx: Transaction, limit: int) -> list[Span]:
        """Return spans that every lane has closed and that are not told."""

    async def tell(self, tx: Transaction, span: Span) -> None:
        """Store that every number of a span is published."""

    async def ended(self, tx: Transaction, days: Collection[Span]) -> dict[Span, int]:
        """Return, of those days of which everything is told, what was dropped in all lanes."""

    async def publish_masses(self, tx: Transaction, masses: Mapping[Span, int]) -> set[Span]:
        """Store what may be told of dropped masses, let go of their parts; return the days not told before."""

    async def forget(self, tx: Transaction, before: datetime) -> None:
        """Forget windows of days of which everything is told and ended before, and what was asked before."""

    async def expire(self, tx: Transaction, before: datetime, limit: int) -> None:
        """Delete published numbers (at most so many) and dropped masses of windows that had ended by then."""


class PostgresClicks:
    """The rows in the worker's own schema."""

    async def standings(self, tx: Transaction, lane: int, spans: Collection[Span]) -> dict[Span, Standing]:
        rows = await tx.connection.fetch(SQL.standings, lane, *_columns(spans))
        return {Span(row[0], row[1]): Standing(Stage(row[2]), row[3]) for row in rows}

    async def open(self, tx: Transaction, lane: int, spans: Collection[Span]) -> None:
        # In one order here and below, or the two would wait for each other's rows in a ring.
        await tx.connection.execute(SQL.open, lane, *_columns(map(opened, sorted(spans)), 4))

    async def know(self, tx: Transaction, lane: int, cells: Collection[tuple[Span, CellRow]]) -> None:
        rows = ((*span, *row) for span, row in cells)
        await tx.connection.execute(SQL.know, lane, *_columns(rows, 6))

    async def contribute(self, tx: Transaction, seen: Mapping[Pair, bytes]) -> set[bytes]:
        rows = ((*pair, share) for pair, share in seen.items())
        found = await tx.connection.fetch(SQL.contribute, *_columns(rows, 3))
        return {row[0] for row in found}

    async def tally(self, tx: Transaction, lane: int, reasons: Mapping[Reason, int]) -> None:
        await tx.connection.execute(SQL.add_tally, lane, *_columns(sorted(reasons.items())))

    async def tallies(self, tx: Transaction) -> dict[Reason, int]:
        return {Reason(row[0]): row[1] for row in await tx.connection.fetch(SQL.tallies)}

    async def over(self, tx: Transaction, over_before: datetime, limit: int) -> list[Span]:
        rows = await tx.connection.fetch(SQL.over, over_before, limit)
        return [Span(row[0], row[1]) for row in rows]

    async def open_everywhere(self, tx: Transaction, spans: Collection[Span]) -> None:
        await tx.connection.execute(SQL.open_everywhere, LANES, *_columns(map(opened, sorted(spans)), 4))

    async def cut_off(self, tx: Transaction, lane: int, spans: Collection[Span], until: int) -> int:
        done = await tx.connection.execute(SQL.cut_off, lane, until, *_columns(spans))
        return _count(done)

    async def work(self, tx: Transaction, lane: int, limit: int) -> list[Work]:
        rows = await tx.connection.fetch(SQL.work, lane, limit)
        return [Work(Span(row[0], row[1]), Stage(row[2]), row[3], row[4]) for row in rows]

    async def move(
        self, tx: Transaction, lane: int, span: Span, stage: Stage, after: bytes | None = None
    ) -> None:
        await tx.connection.execute(SQL.move, lane, *span, stage, after)

    async def page(
        self, tx: Transaction, lane: int, span: Span, after: bytes | None, limit: int
    ) -> list[CellRow]:
        rows = await tx.connection.fetch(SQL.page, lane, *span, after, limit)
        return [CellRow(row[0], Kind(row[1]), row[2], row[3]) for row in rows]

    async def counts(self, tx: Transaction, cells: Sequence[bytes]) -> dict[bytes, int]:
        return {row[0]: row[1] for row in await tx.connection.fetch(SQL.counts, cells)}

    async def shares(
        self, tx: Transaction, cells: Sequence[bytes], crowd: int
    ) -> dict[bytes, dict[str, str]]:
        found: dict[bytes, dict[str, str]] = {cell: {} for cell in cells}
        for cell, tag, share in await tx.connection.fetch(SQL.shares, cells, crowd):
            found[cell][tag.decode()] = share.decode()
        return found

    async def propose(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> None:
        # In one order, so that two lanes with the same texts wait for each other in turn.
        await tx.connection.execute(SQL.propose, *span, *_columns(sorted(numbers), 3))

    async def candidates(self, tx: Transaction, span: Span, limit: int) -> list[Number]:
        rows = await tx.connection.fetch(SQL.candidates, *span, limit)
        return [Number(Kind(row[0]), row[1], row[2]) for row in rows]

    async def publish(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> list[Number]:
        columns = _columns(numbers, 3)
        rows = await tx.connection.fetch(SQL.publish, *span, *columns)
        await tx.connection.execute(SQL.forget_candidates, *span, *columns[:2])
        new = {(row[0], row[1]) for row in rows}
        return [each for each in numbers if (each.kind, each.cell) in new]

    async def drop(self, tx: Transaction, lane: int, span: Span, mass: int) -> None:
        await tx.connection.execute(SQL.drop_mass, *span.day, lane, mass)

    async def sweep(self, tx: Transaction, lane: int, span: Span, cells: Sequence[bytes], limit: int) -> int:
        gone = _count(await tx.connection.execute(SQL.sweep_tags, cells, limit))
        if gone < limit:
            await tx.connection.execute(SQL.sweep_cells, lane, *span, cells)
        return gone

    async def complete(self, tx: Transaction, limit: int) -> list[Span]:
        rows = await tx.connection.fetch(SQL.complete, LANES, limit)
        return [Span(row[0], row[1]) for row in rows]

    async def tell(self, tx: Transaction, span: Span) -> None:
        await tx.connection.execute(SQL.tell, *span)

    async def ended(self, tx: Transaction, days: Collection[Span]) -> dict[Span, int]:
        rows = await tx.connection.fetch(SQL.ended, *_columns(days))
        ended = [Span(row[0], row[1]) for row in rows]
        if not ended:
            return {}
        return {
            Span(row[0], row[1]): row[2] for row in await tx.connection.fetch(SQL.masses, *_columns(ended))
        }

    async def publish_masses(self, tx: Transaction, masses: Mapping[Span, int]) -> set[Span]:
        rows = ((*day, mass) for day, mass in masses.items())
        new = await tx.connection.fetch(SQL.publish_masses, *_columns(rows, 3))
        await tx.connection.execute(SQL.forget_dropped, *_columns(masses))
        return {Span(row[0], row[1]) for row in new}

    async def forget(self, tx: Transaction, before: datetime) -> None:
        await tx.connection.execute(SQL.forget_windows, before)
        await tx.connection.execute(SQL.forget_asked, before)

    async def expire(self, tx: Transaction, before: datetime, limit: int) -> None:
        hour, day = (window_of(before, hourly=hourly) for hourly in (True, False))
        await tx.connection.execute(SQL.expire_numbers, hour, day, limit)
        await tx.connection.execute(SQL.expire_masses, day)


def opened(span: Span) -> tuple[str, str, str, datetime]:
    """Return what is stored of a span when it opens."""
    when = bounds(span.window)
    assert when is not None, "no calendar has this window"
    return (*span, span.day.window, when[1])


def _columns(rows: Iterable[tuple[Any, ...]], width: int = 2) -> tuple[Sequence[Any], ...]:
    return tuple(zip(*rows, strict=True)) or ((),) * width


def _count(tag: str) -> int:
    """Return how many rows a statement touched, as the database said it."""
    return int(tag.rpartition(" ")[2])
