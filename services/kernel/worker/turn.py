"""The main path: one batch of one lane becomes effects, exactly once, or nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.envelope import Envelope
from schemas.privacy import Event
from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.errors import LaneLost, RejectedRecord, StoreRejected
from services.kernel.failpoints import Step, after, before, step
from services.kernel.storage.interface import DeadLetter, Pairs, Storage, TimerRow, Transaction
from services.kernel.telemetry import metrics
from services.kernel.worker.breaker import Breaker
from services.kernel.worker.decode import TIMERS_TOPIC, Decoder
from services.kernel.worker.endings import DEAD_LETTERED, FAILED, PARKED, REDRIVEN, REJECTED, SUPPRESSED
from services.kernel.worker.fanout import obey
from services.kernel.worker.outgoing import Author
from services.kernel.worker.worker import Handled, Received, Worker

DUE_ROWS = 500
_NO_KEYS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one lane, and where they were fetched from and end."""

    records: Sequence[Record]
    fetched_from: Mapping[TopicPartition, int]
    next_offsets: Mapping[TopicPartition, int]


@dataclass(slots=True)
class Ledger:
    """What became of a batch so far."""

    handled: list[Handled] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)


class Turn:
    """Handles the batches of one worker; holds no state of its own between them but the breaker's."""

    def __init__(
        self, worker: Worker, storage: Storage, decoder: Decoder, policy: str, breaker: Breaker | None = None
    ) -> None:
        self._worker = worker
        self._storage = storage
        self._decoder = decoder
        self._author = Author(worker.name, policy)
        self._breaker = breaker or Breaker()

    async def handle(self, lane: str, batch: Batch) -> None:
        """Turn one batch into effects. What the database refuses is found by halving and set aside."""
        try:
            await self._handle(lane, batch, careful=False)
        except StoreRejected:
            metrics.BISECTIONS.inc()
            await self._handle(lane, batch, careful=True)

    async def _handle(self, lane: str, batch: Batch, *, careful: bool) -> None:
        before(Step.LOCK)
        async with self._storage.transaction(lane) as tx:
            await self._refuse_if_fetched_elsewhere(tx, batch)
            after(Step.LOCK)
            ledger = Ledger()
            received = self._decode(batch.records, ledger)
            await self._act(tx, received, ledger, careful=careful)
            await self._record(tx, ledger)
            with step(Step.PROGRESS):
                await tx.advance(batch.next_offsets)
            # The breaker is for what our own workers write: a partner who writes nonsense must stop nobody else.
            if self._worker.pattern is None:
                self._breaker.note(batch.records, ledger.letters)
            before(Step.COMMIT)
        after(Step.COMMIT)
        self._count(ledger)

    async def handle_due(self, lane: str) -> bool:
        """Fold due timers and redriven letters of a lane; return whether there were any."""
        try:
            return await self._handle_due(lane, careful=False)
        except StoreRejected:
            return await self._handle_due(lane, careful=True)

    async def _handle_due(self, lane: str, *, careful: bool) -> bool:
        before(Step.LOCK)
        async with self._storage.transaction(lane) as tx:
            after(Step.LOCK)
            ledger = Ledger()
            with step(Step.DUE):
                letters = await tx.exhume(DUE_ROWS)
                due = await tx.due(DUE_ROWS)
            received = self._decode((_record(letter) for letter in letters), ledger)
            received += [self._timer(row) for row in due]
            await self._act(tx, received, ledger, careful=careful)
            await self._record(tx, ledger, apart=True)
            before(Step.COMMIT)
        after(Step.COMMIT)
        self._count(ledger)
        return bool(received or letters)

    async def _refuse_if_fetched_elsewhere(self, tx: Transaction, batch: Batch) -> None:
        """A zombie owner, or a batch overlapped with one that rolled back, loses here and not by luck."""
        stored = await tx.positions()
        if any(stored.get(partition) != offset for partition, offset in batch.fetched_from.items()):
            raise LaneLost("fetched-elsewhere")

    def _decode(self, records: Iterable[Record], ledger: Ledger) -> list[Received]:
        received = []
        for record in records:
            try:
                received.append(self._decoder.decode(record))
            except RejectedRecord as error:
                ledger.letters.append(_broken(record, error))
                ledger.endings[record.topic, DEAD_LETTERED] += 1
        return received

    async def _act(self, tx: Transaction, received: list[Received], ledger: Ledger, *, careful: bool) -> None:
        events = await self._obey(tx, received, ledger)
        events = await self._suppress(tx, events, ledger)
        events = await self._park(tx, events, ledger)
        if events:
            ledger.handled += await (
                self._halving(tx, events) if careful else self._worker.handler.handle(tx, events)
            )

    async def _obey(self, tx: Transaction, received: list[Received], ledger: Ledger) -> list[Received]:
        """Carry out the fan-out's commands first: what follows in the batch then meets the suppression row."""
        if self._worker.rights is None:
            return received
        others = []
        for each in received:
            if each.record.topic == COMMANDS.name:
                with step(Step.OBEY):
                    ledger.handled.append(await obey(tx, self._worker.name, self._worker.rights, each))
            else:
                others.append(each)
        return others

    async def _suppress(self, tx: Transaction, events: list[Received], ledger: Ledger) -> list[Received]:
        """Set aside events of erased subjects, but for what is excepted and what is never suppressed."""
        if not events:
            return events
        with step(Step.SUPPRESS):
            suppressed = await tx.suppressed(list({each.subject for each in events}))
        if not suppressed:
            return events
        kept = []
        for each in events:
            pairs = suppressed.get(each.subject)
            if pairs is None or not each.event.suppressible or _excepted(each.event, pairs):
                kept.append(each)
            else:
                ledger.endings[each.record.topic, SUPPRESSED] += 1
        return kept

    async def _park(self, tx: Transaction, events: list[Received], ledger: Ledger) -> list[Received]:
        """Set aside events behind a failed one of their key, so that order per key is kept."""
        blocked = await tx.blocked(list({each.key for each in events})) if events else _NO_KEYS
        if not blocked:
            return events
        ledger.handled += [
            Handled(each, PARKED, code="behind-failed") for each in events if each.key in blocked
        ]
        return [each for each in events if each.key not in blocked]

    async def _halving(self, tx: Transaction, events: list[Received]) -> list[Handled]:
        """Handle in savepoints, halving by key where the database refuses, until one record is to blame."""
        try:
            async with tx.savepoint():
                handled = await self._worker.handler.handle(tx, events)
                for each in handled:
                    self._author.rows("", each.outgoing, tx.at)
                return handled
        except StoreRejected as error:
            keys = list(dict.fromkeys(each.key for each in events))
            if len(keys) == 1:
                return await self._one_by_one(tx, events, error)
        first = set(keys[: len(keys) // 2])
        halves = (
            [each for each in events if each.key in first],
            [each for each in events if each.key not in first],
        )
        handled = [*await self._halving(tx, halves[0]), *await self._halving(tx, halves[1])]
        order = {id(each): place for place, each in enumerate(events)}
        return sorted(handled, key=lambda each: order[id(each.received)])

    async def _one_by_one(
        self, tx: Transaction, events: list[Received], error: StoreRejected
    ) -> list[Handled]:
        if len(events) == 1:
            return [Handled(events[0], FAILED, code=f"store-{error.code}")]
        handled: list[Handled] = []
        for place, event in enumerate(events):
            handled += await self._halving(tx, [event])
            if handled[-1].ending == FAILED:
                return handled + [Handled(each, PARKED, code="behind-failed") for each in events[place + 1 :]]
        return handled

    async def _record(self, tx: Transaction, ledger: Ledger, *, apart: bool = False) -> None:
        """Store what was decided beside the states: outgoing rows, timers, letters, counts."""
        rows, timers, remembered = [], [], set()
        for each in ledger.handled:
            rows += self._author.rows(each.received.envelope.id, each.outgoing, tx.at)
            timers += [_timer_row(each.received, timer.event, tx.at + timer.after) for timer in each.timers]
            if each.stored and self._worker.rights is not None:
                remembered.add(each.received.subject)
            ending = each.ending
            if ending in (REJECTED, FAILED, PARKED):
                ledger.letters.append(_letter(each))
                ending = DEAD_LETTERED
            ledger.endings[each.received.record.topic, ending] += 1
        if apart:
            ledger.endings = Counter(
                {(topic, _apart(topic, end)): n for (topic, end), n in ledger.endings.items()}
            )
        if not ledger.endings:
            return  # Every record has an ending: without one there is nothing to say.
        with step(Step.OUTBOX):
            if rows:
                await tx.append(rows)
            if timers:
                await tx.schedule(timers)
            if remembered:
                await tx.remember(list(remembered))
            if ledger.letters:
                await tx.bury(ledger.letters)
            await tx.count(ledger.endings)

    def _timer(self, row: TimerRow) -> Received:
        """Return a due timer as if it had been read; its id depends on what it is about and when it was due."""
        cause = f"{row.state_key}/{row.due_at.isoformat()}"
        envelope = Envelope(id=cause, type=row.event_type, source=f"/workers/{self._worker.name}")
        record = Record(TIMERS_TOPIC, 0, 0, row.subject.encode(), row.body, envelope.headers())
        return self._decoder.decode(record)

    @staticmethod
    def _count(ledger: Ledger) -> None:
        for (topic, ending), count in ledger.endings.items():
            if topic == TIMERS_TOPIC:
                metrics.TIMERS.labels(ending=ending).inc(count)
            elif ending.startswith(REDRIVEN):
                metrics.REDRIVEN.labels(topic=topic, ending=ending.removeprefix(REDRIVEN)).inc(count)
            else:
                metrics.RECORDS.labels(topic=topic, ending=ending).inc(count)
        for letter in ledger.letters:
            metrics.DEAD_LETTERS.labels(topic=letter.topic, code=letter.code).inc()


def _excepted(event: Event, pairs: Pairs) -> bool:
    """Say whether a ground still holds all that an event carries; one that carries nothing sealed needs any ground.

    The scope alone is not enough: an invoice held for the tax office would let the address back in.
    """
    held = {category for scope, category in pairs if scope == event.scope}
    carried = {str(kind.category) for kind in event.personal_fields().values()}
    return bool(held) and carried <= held


def _apart(topic: str, ending: str) -> str:
    """Redriven records have had their ending; what becomes of them is counted beside the sum, not in it."""
    return ending if topic == TIMERS_TOPIC else REDRIVEN + ending


def _broken(record: Record, error: RejectedRecord) -> DeadLetter:
    """Keep coordinates, length and reason of what cannot be decoded: nobody knows what is in the bytes."""
    return DeadLetter(
        record.topic,
        record.partition,
        record.offset,
        error.code,
        field_path=str(error.fields.get("field_path", "")),
        length=len(record.value or b""),
    )


def _letter(handled: Handled) -> DeadLetter:
    received, record = handled.received, handled.received.record
    return DeadLetter(
        record.topic,
        record.partition,
        record.offset,
        handled.code,
        parked=handled.ending == PARKED,
        blocks=handled.ending == FAILED,
        subject=received.subject or None,
        scope=received.event.scope,
        state_key=received.key,
        event_type=received.event.type,
        headers=record.headers,
        value=record.value,
        length=len(record.value or b""),
    )


def _record(letter: DeadLetter) -> Record:
    key = letter.subject.encode() if letter.subject else None
    return Record(letter.topic, letter.partition, letter.offset, key, letter.value, letter.headers)


def _timer_row(received: Received, event: Event, due_at: datetime) -> TimerRow:
    body = event.model_dump_json().encode()
    return TimerRow(received.key, event.type, received.subject, event.scope, body, due_at)
