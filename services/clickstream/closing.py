"""Closes windows, piece by piece: what a crowd shares is opened and published once, the rest goes and is a sum.

    waiting -> counting -> sweeping -> closed       in each lane by itself
    closed in every lane -> published               in one lane: one text may be in two, under two keys

Each piece is one transaction: the numbers it publishes, the cell up to which everything is counted, and what is
dropped stand or fall together, so a killed worker goes on exactly where the last commit was.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from schemas.statistics import Counted, MassDropped
from schemas.topics import CLICKS, STATISTICS
from services.clickstream.domain import (
    SUMMING,
    Closing,
    Rules,
    Span,
    Stage,
    fits,
    largest,
    reached,
    told,
    told_mass,
)
from services.clickstream.store import CellRow, ClickStore, Number, Work
from services.kernel.broker.interface import TopicPartition
from services.kernel.decision import Outgoing, Timer
from services.kernel.errors import RejectedRecord
from services.kernel.failpoints import Step, step
from services.kernel.sealing.crowds import opened
from services.kernel.storage.interface import Transaction
from services.kernel.telemetry import log

PIECE_CELLS = 500
"""Most numbers of one piece."""
PIECE_TAGS = 20_000
"""Most tags that one piece deletes."""
PIECE_WINDOWS = 50
"""Most windows of one piece: many in which little happened are closed together."""
_log = log.get("clickstream")
LOOK_AGAIN = timedelta(seconds=0.5)


class Closer:
    """Does one piece of a lane's closing inside the caller's transaction."""

    def __init__(self, store: ClickStore, rules: Rules, tx: Transaction, lane: int) -> None:
        self._store, self._rules, self._tx, self._lane = store, rules, tx, lane
        self.outgoing: list[Outgoing] = []
        self._cells_left, self._tags_left = PIECE_CELLS, PIECE_TAGS

    async def close_some(self) -> tuple[Timer, ...]:
        """Do a piece; return the reminder to go on, if anything is left to do."""
        position = (await self._tx.positions()).get(TopicPartition(CLICKS.name, self._lane), 0)
        work = await self._store.work(self._tx, self._lane, PIECE_WINDOWS)
        ready = [each for each in work if reached(each.until, position)]
        closed = 0
        for each in ready:
            stage, after = await self._advance(each)
            with step(Step.CLOSE):
                await self._store.move(self._tx, self._lane, each.span, stage, after)
            if stage is not Stage.CLOSED:
                return self._again(timedelta())
            closed += 1
        if closed == PIECE_WINDOWS or (self._lane == SUMMING and await self._publish_complete()):
            return self._again(timedelta())
        return self._again(LOOK_AGAIN) if len(work) > closed else ()

    def _again(self, after: timedelta) -> tuple[Timer, ...]:
        return (Timer(Closing(lane=self._lane), after),)

    async def _advance(self, work: Work) -> tuple[Stage, bytes | None]:
        """Publish and delete as much of a span as a piece may; return how far it is now."""
        if work.stage is not Stage.SWEEPING:
            cells = await self._store.page(self._tx, self._lane, work.span, work.after, self._cells_left)
            if cells:
                await self._count(work.span, cells)
            if len(cells) == self._cells_left:
                return Stage.COUNTING, cells[-1].id if cells else work.after
            self._cells_left -= len(cells)
        return (Stage.CLOSED if await self._sweep(work.span) else Stage.SWEEPING), None

    async def _count(self, span: Span, cells: Sequence[CellRow]) -> None:
        """Open what a crowd shares; add the rest to what was dropped, unread."""
        counts = await self._store.counts(self._tx, [each.id for each in cells])
        crowds = [each for each in cells if told(counts.get(each.id, 0), self._rules.crowd)]
        shares = await self._store.shares(self._tx, [each.id for each in crowds], self._rules.crowd)
        texts = {each.id: self._text(each, shares[each.id]) for each in crowds}
        numbers = largest(
            (each.kind, text, counts[each.id]) for each in crowds if (text := texts[each.id]) is not None
        )
        mass = sum(counts.get(each.id, 0) for each in cells if texts.get(each.id) is None)
        with step(Step.CLOSE):
            if numbers:
                proposed = [Number(*name, visitors) for name, visitors in numbers.items()]
                await self._store.propose(self._tx, span, proposed)
            if mass:
                await self._store.drop(self._tx, self._lane, span, mass)

    def _text(self, cell: CellRow, shares: Mapping[str, str]) -> str | None:
        """Return what a cell says, None where a crowd's shares do not tell: made for a larger crowd, or not sound."""
        try:
            text = opened(cell.named, cell.sealed, shares, self._rules.crowd)
        except RejectedRecord as error:
            _log.error("cell not opened", lane=str(self._lane), code=error.code)
            return None
        return text if fits(cell.kind, text) else None

    async def _sweep(self, span: Span) -> bool:
        """Delete tags and cells whose numbers are decided; return whether none is left."""
        cells = await self._store.page(self._tx, self._lane, span, None, PIECE_CELLS)
        if not cells:
            return True
        with step(Step.SWEEP):
            ids = [each.id for each in cells]
            gone = await self._store.sweep(self._tx, self._lane, span, ids, self._tags_left)
        done = gone < self._tags_left and len(cells) < PIECE_CELLS
        self._tags_left -= gone
        return done

    async def _publish_complete(self) -> bool:
        """Publish windows that every lane has closed; return whether there may be more."""
        spans = await self._store.complete(self._tx, PIECE_WINDOWS)
        done = []
        for span in spans:
            found = await self._store.candidates(self._tx, span, self._cells_left)
            numbers = [each._replace(visitors=told(each.visitors, self._rules.crowd)) for each in found]
            with step(Step.ISSUE):
                if numbers:
                    self._say(span, await self._store.publish(self._tx, span, numbers))
                if len(numbers) < self._cells_left:
                    await self._store.tell(self._tx, span)
                    done.append(span)
            self._cells_left -= len(numbers)
            if not self._cells_left:
                break
        if done:
            await self._sum({span.day for span in done})
        return len(done) < len(spans) or len(spans) == PIECE_WINDOWS

    def _say(self, span: Span, numbers: Sequence[Number]) -> None:
        for kind, cell, count in numbers:
            event = Counted(storefront=span.storefront, kind=kind, window=span.window, cell=cell, count=count)
            self.outgoing.append(Outgoing(STATISTICS.name, span.storefront, event))

    async def _sum(self, days: Collection[Span]) -> None:
        """Tell what was dropped of days of which every window is published."""
        ended = await self._store.ended(self._tx, days)
        masses = {day: told_mass(mass, self._rules.crowd) for day, mass in ended.items()}
        if not masses:
            return
        with step(Step.SUM):
            new = await self._store.publish_masses(self._tx, masses)
        for day in sorted(new):
            event = MassDropped(storefront=day.storefront, day=day.window, mass=masses[day])
            self.outgoing.append(Outgoing(STATISTICS.name, day.storefront, event))
