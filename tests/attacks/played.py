"""Plays a day through the gateway's own anonymiser, in process, with a clock that is moved by hand."""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from schemas.clicks import CROWD, Kind, window_of
from services.gateway.behind import Behind
from services.gateway.clicks.anonymiser import Anonymiser, Mixing
from services.gateway.clicks.cells import cells_of
from services.gateway.clicks.contribution import Contribution
from services.gateway.clicks.tags import Visitor as Tagger
from services.kernel.broker.interface import Message
from services.kernel.sealing.crowds import CrowdSealed
from services.kernel.sealing.keys import KEY_BYTES
from services.kernel.sealing.tagging import TagKey
from tests.attacks.seen import Raw, Stream, Truth, read
from tests.attacks.visits import DAY, SHOP, Day, Shape, Visit, day_of

HOURS = 24
STEP = timedelta(seconds=5)
"""How often the gateway looks who may leave."""


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    at: datetime = DAY

    def monotonic(self) -> float:
        return (self.at - DAY).total_seconds()

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here: the day is moved by hand")


class DayKeyring:
    """Hands out one tag key, drawn from the seed: so a day is played the same way every time."""

    def __init__(self, clock: HandClock, seed: int) -> None:
        self.clock = clock
        self.material = random.Random(f"key {seed}").randbytes(KEY_BYTES)

    async def tag_key(self) -> TagKey:
        left = DAY + timedelta(days=1) - self.clock.now()
        return TagKey(1, self.material, left.total_seconds(), self.clock)


class Shuffle:
    """Draws from the seed what the gateway leaves to chance, whatever order it is given."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"shuffle {seed}")

    def shuffle(self, items: list[Contribution]) -> None:
        # Sets of texts have another order in every process.
        shuffled = sorted(items)
        self._random.shuffle(shuffled)
        items[:] = shuffled


@dataclass
class Topic:
    """Takes what the gateway sends, as Kafka does."""

    raw: list[Raw] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    arrival: int = 0

    async def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert message.partition is not None and message.timestamp_ms is not None and message.value
            offset = self.ends.get(message.partition, 0)
            self.ends[message.partition] = offset + 1
            self.raw.append(
                Raw(
                    self.arrival, message.partition, offset, message.timestamp_ms, message.key,
                    tuple(message.headers), message.value,
                )
            )  # fmt: skip


@cache
def played(shape: Shape, flush_seconds: float = 3600.0) -> Stream:
    """Return what the day leaves on the topic, and the truth of it."""
    return played_day(day_of(shape), shape, flush_seconds)


Beside = Callable[[Anonymiser, datetime], None]
"""What somebody else sends through the same gateway before a moment."""


def played_day(
    day: Day, shape: Shape, flush_seconds: float = 3600.0, beside: Beside = lambda *_: None
) -> Stream:
    """Return the same of a day that may have more in it; `beside` is called before each look at who may leave."""
    clock = HandClock()
    keyring = DayKeyring(clock, shape.seed)
    topic = Topic()
    behind = Behind(keyring, None)  # type: ignore[arg-type] # its `send` is replaced
    behind.send = topic.send  # type: ignore[method-assign]
    mixing = Mixing(CROWD, frozenset(), flush_seconds)
    anonymiser = Anonymiser(keyring, behind, clock, mixing, "1", Shuffle(shape.seed))  # type: ignore[arg-type]
    _play(anonymiser, clock, topic, day, beside)
    # The last hour ends with its day, and the key dies in the same moment; what was taken before is sealed already.
    cells, sealed = read(topic.raw)
    return Stream(shape.name, topic.raw, cells, truth_of(day, keyring.material, CROWD), sealed)


def _play(anonymiser: Anonymiser, clock: HandClock, topic: Topic, day: Day, beside: Beside) -> None:
    now(anonymiser._key.ask())
    at = DAY
    waiting = list(day.visits)[::-1]
    while at < DAY + timedelta(hours=HOURS):
        at += STEP
        while waiting and waiting[-1].at < at:
            visit = waiting.pop()
            clock.at = visit.at
            anonymiser.take(day.site, visit.visitor.address, visit.visitor.agent, [visit.page])
        clock.at = at
        beside(anonymiser, at)
        topic.arrival += 1
        now(anonymiser.leave())


def now(coroutine: Coroutine[object, None, None]) -> None:
    """Run what waits for nothing to its end; it may give others a turn."""
    try:
        while coroutine.send(None) is None:
            pass
    except StopIteration:
        return
    raise AssertionError("it waited")


def truth_of(day: Day, material: bytes, crowd: int) -> Truth:
    """Return who made which contribution: the judge knows the key and everybody."""
    key = TagKey(1, material, 86_400.0, HandClock())
    who: dict[tuple[str, str], int] = {}
    when: dict[tuple[str, str], datetime] = {}
    ids: dict[tuple[Kind, str, str], str] = {}
    for visit in day.visits:
        tagger = Tagger(key, SHOP, visit.visitor.address, visit.visitor.agent)
        for kind, window, text in _named(day, visit):
            if (kind, window, text) not in ids:
                ids[kind, window, text] = CrowdSealed(key, crowd, (SHOP, kind, window, text), text).id
            made = (ids[kind, window, text], tagger.tag(kind, window, text))
            assert who.setdefault(made, visit.visitor.number) == visit.visitor.number
            when.setdefault(made, visit.at)
    return Truth(who, when)


def _named(day: Day, visit: Visit) -> list[tuple[Kind, str, str]]:
    window = window_of(visit.at, hourly=False)
    return [(kind, window, text) for kind, text in cells_of(visit.page, day.site)]
