"""A worker just big enough to show what the loop promises: it counts what it was told per order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import attrgetter
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from schemas.envelope import Envelope
from schemas.erasure import Held
from schemas.ids import OrderId
from schemas.privacy import Clear, Event
from schemas.topics import COMMANDS, LANES, RECEIPTS, Topic
from services.kernel.broker.interface import Message
from services.kernel.broker.memory import MemoryBroker
from services.kernel.decision import Decision, Given, Outgoing, Timer
from services.kernel.errors import RejectedRecord, StoreRejected
from services.kernel.fanout.rights import Erasing, Outcome
from services.kernel.ids import derived_id
from services.kernel.storage.interface import Transaction
from services.kernel.storage.memory import MemoryStorage
from services.kernel.worker.fold import Fold
from services.kernel.worker.loop import Loop
from services.kernel.worker.worker import Worker

Word = Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$"), Clear("a word of the sample")]


class Said(Event):
    """Somebody said a word about an order; some words misbehave."""

    type: ClassVar[str] = "lethe.sample.said.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId
    word: Word


class Echo(Event):
    """What the sample publishes."""

    type: ClassVar[str] = "lethe.sample.echo.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId
    word: Word


class Rang(Event):
    """The sample's own timer."""

    type: ClassVar[str] = "lethe.sample.rang.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId


WORDS = Topic("words", (Said,), frozenset({"gateway"}), frozenset({"sample"}))
ECHOES = Topic("shipments", (Echo,), frozenset({"sample"}), frozenset({"carriers"}))
TOPICS = {"words": LANES, "shipments": LANES, COMMANDS.name: LANES, RECEIPTS.name: LANES}


@dataclass(frozen=True)
class Heard:
    """State of one order: the words in the order they were folded."""

    subject: str
    words: tuple[str, ...] = ()


def decide(state: Heard | None, event: Said | Rang, given: Given) -> Decision[Heard]:
    """Remember a word once; `no` is refused, `bug` fails, `later` sets a timer."""
    state = state or Heard(given.subject)
    word = "rang" if isinstance(event, Rang) else event.word
    if word in state.words:
        return Decision(state)
    if word == "no":
        raise RejectedRecord("word-refused")
    if word == "bug":
        raise ZeroDivisionError
    told = replace(state, words=(*state.words, word))
    timers = (Timer(Rang(order=event.order), timedelta(0)),) if word == "later" else ()
    echo = Outgoing(ECHOES.name, given.subject, Echo(order=event.order, word=word))
    return Decision(told, (echo,), timers)


class HeardStore:
    """Rows in the twin's tables; refuses the word `cursed` like a database would."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Heard]:
        return {key: tx.connection["heard"][key] for key in keys if key in tx.connection["heard"]}

    async def save(self, tx: Transaction, states: Mapping[str, Heard]) -> None:
        if any("cursed" in state.words for state in states.values()):
            raise StoreRejected("22021")
        tx.connection["heard"].update(states)


class HeardRights:
    """Deletes an order's row unless its scope is excepted."""

    async def erase(self, tx: Transaction, erasing: Erasing) -> Outcome:
        rows = tx.connection["heard"]
        mine = [key for key, row in rows.items() if row.subject == erasing.subject]
        gone = [key for key in mine if not erasing.keeps(key)]
        for key in gone:
            del rows[key]
        return Outcome(erased=len(gone), retained=tuple(h for h in erasing.but if h.scope in mine))


def worker(pattern: str | None = None) -> Worker:
    """Compose the sample; with `pattern`, as one that follows topics like a partner's."""
    handler = Fold(decide, HeardStore(), key=lambda event, subject: attrgetter("order")(event))
    if pattern is not None:
        return Worker("sample", (), handler, pattern=pattern, topic_named=lambda _: WORDS)
    return Worker("sample", (WORDS, COMMANDS), handler, timers=(Rang,), rights=HeardRights())


def said(subject: str, order: str, word: str, *, event_id: str | None = None) -> Message:
    """Return the record a gateway would write."""
    event_id = event_id or derived_id("sample", subject + order, word, 0)
    return message("words", subject, Said(order=order, word=word), event_id)


def message(topic: str, subject: str, event: Event, event_id: str) -> Message:
    """Return a record with its envelope."""
    envelope = Envelope(id=event_id, type=event.type, source="/storefronts/sample", subject=subject)
    return Message(topic, subject.encode(), event.model_dump_json().encode(), envelope.headers())


class World:
    """Broker, storage and as many instances of the sample as asked for; one ordered log of effects."""

    def __init__(self) -> None:
        self.effects: list[tuple] = []
        self.broker = MemoryBroker(TOPICS, self.effects)
        self.storage = MemoryStorage(self.effects)
        self.loops: list[tuple[Loop, asyncio.Task[None]]] = []

    def start(self, pattern: str | None = None, **options: object) -> Loop:
        """Start one more instance."""
        loop = Loop(worker(pattern), self.broker, self.storage, **options)  # type: ignore[arg-type]
        self.loops.append((loop, asyncio.create_task(loop.run())))
        return loop

    async def joined(self) -> None:
        """Wait until every instance works on its lanes."""
        async with asyncio.timeout(30):
            while not all(loop.ready for loop, _ in self.loops):
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stop every instance in order; raises what one of them raised."""
        for loop, task in self.loops:
            loop.stop()
            await task
        self.loops.clear()

    async def settle(self, records: int) -> None:
        """Wait until so many records of `words` and `erasure.commands` have ended, and the outbox is empty."""
        async with asyncio.timeout(15):
            while self.ended() < records or any(self.storage.tables.outbox.values()):
                await asyncio.sleep(0.01)
                for _, task in self.loops:
                    if task.done():
                        await task

    def ended(self) -> int:
        """Return how many records have ended."""
        endings = self.storage.tables.endings
        return sum(n for (topic, end), n in endings.items() if topic != "(timers)" and "redriven" not in end)

    def heard(self) -> dict[str, tuple[str, ...]]:
        """Return the words of each order."""
        return {key: row.words for key, row in self.storage.tables.worker["heard"].items()}

    def echoed(self, order: str) -> list[str]:
        """Return the words published about an order, in log order."""
        echoes = [
            Echo.model_validate_json(record.value or b"") for record in self.broker.records(ECHOES.name)
        ]
        return [echo.word for echo in echoes if echo.order == order]


def held(scope: str, category: str = "logistics") -> Held:
    """Return an exception."""
    return Held.model_validate_json(f'{{"scope":"{scope}","category":"{category}","ground":"open-order"}}')
