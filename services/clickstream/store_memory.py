"""The twin of `PostgresClicks` in memory: the same promises on dictionaries."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from schemas.clicks import Kind
from schemas.topics import LANES
from services.clickstream.domain import SUMMING, Reason, Span, Stage, Standing
from services.clickstream.store import CellRow, Number, Pair, Work, opened
from services.kernel.storage.interface import Transaction

_AT_WORK = (Stage.WAITING, Stage.COUNTING, Stage.SWEEPING)


class MemoryClicks:
    """Tables by name, rows by primary key."""

    async def standings(self, tx: Transaction, lane: int, spans: Collection[Span]) -> dict[Span, Standing]:
        rows = _table(tx, "closing")
        return {
            span: Standing(rows[*span, lane]["stage"], rows[*span, lane]["until"])
            for span in spans
            if (*span, lane) in rows
        }

    async def open(self, tx: Transaction, lane: int, spans: Collection[Span]) -> None:
        for span in spans:
            row = {
                "stage": Stage.OPEN,
                "until": None,
                "after": None,
                "told": False,
                "ends_at": opened(span)[3],
            }
            _table(tx, "closing").setdefault((*span, lane), row)

    async def know(self, tx: Transaction, lane: int, cells: Collection[tuple[Span, CellRow]]) -> None:
        for span, row in cells:
            _table(tx, "cell").setdefault((lane, *span, row.id), row)

    async def contribute(self, tx: Transaction, seen: Mapping[Pair, bytes]) -> set[bytes]:
        rows = _table(tx, "contribution")
        new = {pair: share for pair, share in seen.items() if pair not in rows}
        rows.update(new)
        return {cell + tag for cell, tag in new}

    async def tally(self, tx: Transaction, lane: int, reasons: Mapping[Reason, int]) -> None:
        rows = _table(tx, "tally")
        for reason, cells in reasons.items():
            rows[lane, reason] = rows.get((lane, reason), 0) + cells

    async def tallies(self, tx: Transaction) -> dict[Reason, int]:
        found: Counter[Reason] = Counter()
        for (_, reason), cells in _table(tx, "tally").items():
            found[reason] += cells
        return dict(found)

    async def over(self, tx: Transaction, over_before: datetime, limit: int) -> list[Span]:
        asked = _table(tx, "early")
        found = {}
        for (shop, window, _), row in _table(tx, "closing").items():
            span = Span(shop, window)
            wanted = row["ends_at"] <= over_before or span in asked or span.day in asked
            if row["stage"] is Stage.OPEN and wanted:
                found[span] = row["ends_at"]
        return sorted(found, key=lambda span: (found[span], span))[:limit]

    async def open_everywhere(self, tx: Transaction, spans: Collection[Span]) -> None:
        for lane in range(LANES):
            await self.open(tx, lane, spans)

    async def cut_off(self, tx: Transaction, lane: int, spans: Collection[Span], until: int) -> int:
        rows = [
            row
            for (shop, window, where), row in _table(tx, "closing").items()
            if where == lane and row["stage"] is Stage.OPEN
            and (Span(shop, window) in spans or Span(shop, window).day in spans)
        ]  # fmt: skip
        for row in rows:
            row.update(stage=Stage.WAITING, until=until)
        return len(rows)

    async def work(self, tx: Transaction, lane: int, limit: int) -> list[Work]:
        found = [
            (row["until"], row["ends_at"], Work(Span(shop, window), row["stage"], row["until"], row["after"]))
            for (shop, window, where), row in _table(tx, "closing").items()
            if where == lane and row["stage"] in _AT_WORK
        ]
        return [each for *_, each in sorted(found, key=lambda it: (*it[:2], it[2].span))][:limit]

    async def move(
        self, tx: Transaction, lane: int, span: Span, stage: Stage, after: bytes | None = None
    ) -> None:
        _table(tx, "closing")[*span, lane].update(stage=stage, after=after)

    async def page(
        self, tx: Transaction, lane: int, span: Span, after: bytes | None, limit: int
    ) -> list[CellRow]:
        rows = sorted(row for key, row in _table(tx, "cell").items() if key[:3] == (lane, *span))
        return [row for row in rows if after is None or row.id > after][:limit]

    async def counts(self, tx: Transaction, cells: Sequence[bytes]) -> dict[bytes, int]:
        return Counter(cell for cell, _ in _table(tx, "contribution") if cell in cells)

    async def shares(
        self, tx: Transaction, cells: Sequence[bytes], crowd: int
    ) -> dict[bytes, dict[str, str]]:
        found: dict[bytes, dict[str, str]] = {cell: {} for cell in cells}
        for (cell, tag), share in sorted(_table(tx, "contribution").items()):
            if cell in found and len(found[cell]) < crowd:
                found[cell][tag.decode()] = share.decode()
        return found

    async def propose(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> None:
        rows = _table(tx, "candidate")
        for each in numbers:
            key = (*span, each.kind, each.cell)
            rows[key] = max(each.visitors, rows.get(key, 0))

    async def candidates(self, tx: Transaction, span: Span, limit: int) -> list[Number]:
        rows = sorted((*key[2:], count) for key, count in _table(tx, "candidate").items() if key[:2] == span)
        return [Number(Kind(kind), cell, count) for kind, cell, count in rows][:limit]

    async def publish(self, tx: Transaction, span: Span, numbers: Sequence[Number]) -> list[Number]:
        rows = _table(tx, "statistic")
        new = [each for each in numbers if (*span, each.kind, each.cell) not in rows]
        rows.update({(*span, each.kind, each.cell): each.visitors for each in new})
        for each in numbers:
            del _table(tx, "candidate")[*span, each.kind, each.cell]
        return new

    async def drop(self, tx: Transaction, lane: int, span: Span, mass: int) -> None:
        rows = _table(tx, "dropped")
        rows[*span.day, lane] = rows.get((*span.day, lane), 0) + mass

    async def sweep(self, tx: Transaction, lane: int, span: Span, cells: Sequence[bytes], limit: int) -> int:
        rows = _table(tx, "contribution")
        gone = [each for each in rows if each[0] in cells][:limit]
        for each in gone:
            del rows[each]
        if len(gone) < limit:
            for cell in cells:
                del _table(tx, "cell")[lane, *span, cell]
        return len(gone)

    async def complete(self, tx: Transaction, limit: int) -> list[Span]:
        rows = _table(tx, "closing")
        closed = Counter(Span(*key[:2]) for key, row in rows.items() if row["stage"] is Stage.CLOSED)
        return sorted(
            span for span, count in closed.items() if count == LANES and not rows[*span, SUMMING]["told"]
        )[:limit]

    async def tell(self, tx: Transaction, span: Span) -> None:
        _table(tx, "closing")[*span, SUMMING]["told"] = True

    async def ended(self, tx: Transaction, days: Collection[Span]) -> dict[Span, int]:
        rows, masses = _table(tx, "closing"), _table(tx, "dropped")
        unfinished = _unfinished(rows)
        return {
            day: sum(mass for key, mass in masses.items() if key[:2] == day)
            for day in days
            if (*day, SUMMING) in rows and day not in unfinished
        }

    async def publish_masses(self, tx: Transaction, masses: Mapping[Span, int]) -> set[Span]:
        rows, parts = _table(tx, "mass"), _table(tx, "dropped")
        new = {day for day in masses if day not in rows}
        rows.update({day: masses[day] for day in new})
        for key in [key for key in parts if Span(*key[:2]) in masses]:
            del parts[key]
        return new

    async def forget(self, tx: Transaction, before: datetime) -> None:
        closings, asked = _table(tx, "closing"), _table(tx, "early")
        young = {Span(*key[:2]).day for key, row in closings.items() if row["ends_at"] >= before}
        kept = young | _unfinished(closings)
        for key in [key for key in closings if Span(*key[:2]).day not in kept]:
            del closings[key]
        for key in [key for key, asked_at in asked.items() if asked_at < before]:
            del asked[key]

    async def expire(self, tx: Transaction, before: datetime, limit: int) -> None:
        numbers, masses = _table(tx, "statistic"), _table(tx, "mass")
        for key in [key for key in numbers if opened(Span(*key[:2]))[3] <= before][:limit]:
            del numbers[key]
        for day in [day for day in masses if opened(Span(*day))[3] <= before]:
            del masses[day]


def _unfinished(closings: Mapping[Any, Mapping[str, Any]]) -> set[Span]:
    """Return days of which a window is not closed in some lane, or not told."""
    return {
        Span(*key[:2]).day
        for key, row in closings.items()
        if row["stage"] is not Stage.CLOSED or (key[2] == SUMMING and not row["told"])
    }


def _table(tx: Transaction, name: str) -> dict[Any, Any]:
    rows: dict[Any, Any] = tx.connection[name]
    return rows
