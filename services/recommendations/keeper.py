"""What this process remembers of its shops, and when it says what of it. Knows nothing of Faust.

Three rules make everything that may happen twice harmless: a number is set, never added to; a record is done with
only when Kafka has acknowledged what was remembered of it; a list counts as told only when Kafka has acknowledged it.
"""

import asyncio
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from schemas.envelope import Envelope, to_the_hour
from schemas.statistics import Counted, MassDropped, Recommended
from schemas.topics import RECOMMENDATIONS, RECOMMENDATIONS_ROWS, STATISTICS
from services.kernel.broker.interface import Message, Producer, Record
from services.kernel.clock import Clock, backoff
from services.kernel.errors import BrokerUnavailable, RejectedRecord
from services.kernel.ids import derived_id
from services.kernel.telemetry import log, metrics
from services.recommendations.domain import Items, ListName, lists
from services.recommendations.numbers import RANKED, Numbers, began, first_day
from services.recommendations.reading import statistic_of
from services.recommendations.rows import digest, lane_of_shop, list_row, number_row, row_of

SOURCE = "/workers/recommendations"
MOST_HELD = 1_000
"""So many records wait at most for what they changed to be remembered; who brings more waits."""
MOST_SENT = 500
"""So many lists are sent at once."""
PATIENCE = 60
"""Lists are made at the latest after so many times the quiet that is otherwise waited for."""
BREATH = 2_000
"""After so many rows somebody else may run: probes, heartbeats."""
AHEAD = timedelta(days=1)
"""A window that begins later than this from now is nobody's: the clocks of two machines never differ so much."""

Done = Callable[[], object]
Ours = Callable[[], bool]
"""Whether what is recovered is still this process's; no longer from the first moment of a rebalance on."""
Change = tuple[ListName, Items, bytes | None]
_log = log.get("recommendations")


@dataclass(slots=True)
class Shop:
    """What is known of one shop."""

    name: str
    numbers: Numbers = field(default_factory=Numbers)
    told: dict[ListName, bytes] = field(default_factory=dict)
    """Digest of every list as it was last told."""
    changed_first: float | None = None
    changed_last: float = 0.0


class Keeper:
    """The memory of one process. `rows` is where it lies; what is set in it is sent to its changelog here."""

    def __init__(
        self,
        rows: MutableMapping[bytes, bytes],
        producer: Producer,
        clock: Clock,
        *,
        quiet_seconds: float,
        policy: str,
        ours: Ours = lambda: True,
    ) -> None:
        self._rows = rows
        self._producer = producer
        self._clock = clock
        self._quiet_seconds = quiet_seconds
        self._policy = policy
        self._ours = ours
        self._shops: dict[str, Shop] = {}
        self._unsaved: list[Message] = []
        self._held: list[Done] = []
        self._saving = asyncio.Lock()
        self._day = clock.now().date()

    @property
    def full(self) -> bool:
        """Whether so many records wait that none should be added before they are saved."""
        return len(self._held) >= MOST_HELD

    def take(self, record: Record, done: Done) -> None:
        """Remember a statistic; `done` is called once that is saved. A record that breaks its contract is counted."""
        try:
            statistic = statistic_of(record)
            ending = (
                self._counted(statistic, record) if isinstance(statistic, Counted) else _passed(statistic)
            )
        except RejectedRecord as error:
            _log.warning(
                "record refused", topic=record.topic, partition=record.partition,
                offset=record.offset, code=error.code,
            )  # fmt: skip
            ending = error.code
        metrics.RECORDS.labels(STATISTICS.name, ending).inc()
        self._held.append(done)

    def _counted(self, said: Counted, record: Record) -> str:
        if lane_of_shop(said.storefront) != record.partition:
            # Another instance may have the shop's other numbers: a list made of half of them would be wrong.
            raise RejectedRecord("lane-wrong")
        today = self._today()
        if began(said.window) > today + AHEAD:
            # It would be the latest for ever, and what is hot would be measured by it.
            raise RejectedRecord("window-ahead")
        if said.kind not in RANKED or began(said.window) < first_day(today):
            return "ignored"
        name = (said.kind, said.window, said.cell)
        row, count = number_row(said.storefront, name), str(said.count).encode()
        if self._rows.get(row) == count:
            return "repeated"
        self._set(said.storefront, row, count)
        shop = self._shop(said.storefront)
        shop.numbers.set(name, said.count)
        self._changed(shop)
        return "consumed"

    async def save(self) -> None:
        """Return when Kafka has acknowledged every change so far; then the records that made them are done."""
        async with self._saving:
            messages, self._unsaved = self._unsaved, []
            held, self._held = self._held, []
            await self._sent(messages)
        for done in held:
            done()

    async def recover(self, lanes: Collection[int]) -> None:
        """Know again what the rows say of these lanes, and nothing else.

        Every shop counts as changed: its last numbers may have been saved and never been made lists of.
        """
        # In place from the start: what is taken meanwhile must not be known to one that nobody asks any more.
        shops = self._shops = {}
        rows = list(self._rows.items())
        for start in range(0, len(rows), BREATH):
            for key, value in rows[start : start + BREATH]:
                if not _known(shops, lanes, key, value):
                    self._rows.pop(key, None)
            await asyncio.sleep(0)
        for shop in shops.values():
            self._changed(shop)
        metrics.LANES_OWNED.labels("recommendations").set(len(lanes))

    async def tell(self) -> None:
        """Publish the lists of shops that have changed and then were quiet, or have changed for too long.

        From the beginning of a rebalance on nothing is told until what is this process's is recovered.
        """
        if not self._ours():
            return
        today = self._today()
        if today != self._day:
            self._day = today
            for shop in self._shops.values():
                self._changed(shop)  # Its oldest day may be too old from now on.
        for shop in [each for each in self._shops.values() if self._due(each)]:
            shop.changed_first = None
            await self._tell(shop, today)

    def _due(self, shop: Shop) -> bool:
        if shop.changed_first is None:
            return False
        now = self._clock.monotonic()
        quiet = now - shop.changed_last >= self._quiet_seconds
        return quiet or now - shop.changed_first >= PATIENCE * self._quiet_seconds

    async def _tell(self, shop: Shop, today: date) -> None:
        if not self._knows(shop):
            return
        through = shop.numbers.latest or first_day(today).isoformat()
        for name in shop.numbers.drop_before(first_day(today)):
            self._set(shop.name, number_row(shop.name, name), None)
        changes = await _changes(shop)
        for start in range(0, len(changes), MOST_SENT):
            some = changes[start : start + MOST_SENT]
            if self._knows(shop):
                await self._sent([self._message(shop, change, through) for change in some])
            if not self._knows(shop):
                return  # Somebody else's by now, who will tell it again.
            self._remember(shop, some)

    def _knows(self, shop: Shop) -> bool:
        return self._ours() and self._shops.get(shop.name) is shop

    def _remember(self, shop: Shop, told: list[Change]) -> None:
        for name, _, mark in told:
            if mark is None:
                del shop.told[name]
            else:
                shop.told[name] = mark
            self._set(shop.name, list_row(shop.name, name), mark)
            metrics.LISTS_TOLD.labels(name[0].value).inc()

    def _message(self, shop: Shop, change: Change, through: str) -> Message:
        (listing, of), items, mark = change
        event = Recommended(storefront=shop.name, listing=listing, of=of, through=through, items=items)
        before = shop.told.get((listing, of), b"")
        # Made of what it says and what it replaces: told again after a crash it has the same id, and no other has.
        cause = "\x1f".join((shop.name, listing, of or "", through, before.decode(), (mark or b"").decode()))
        envelope = Envelope(
            id=derived_id(SOURCE, cause, event.type, 0), type=event.type, source=SOURCE,
            time=to_the_hour(self._clock.now()), policy=self._policy,
        )  # fmt: skip
        value = event.model_dump_json(exclude_none=True).encode()
        return Message(RECOMMENDATIONS.name, shop.name.encode(), value, envelope.headers())

    async def _sent(self, messages: list[Message]) -> None:
        """Return when everything is acknowledged, however long Kafka is away: what is said twice is harmless."""
        if not messages:
            return
        for wait_seconds in backoff():
            try:
                await self._producer.send(messages)
                return
            except BrokerUnavailable as error:
                metrics.RETRIES.labels(error.code).inc()
                await self._clock.sleep(wait_seconds)

    def _set(self, shop: str, row: bytes, value: bytes | None) -> None:
        if value is None:
            self._rows.pop(row, None)
        else:
            self._rows[row] = value
        self._unsaved.append(Message(RECOMMENDATIONS_ROWS.name, row, value, (), lane_of_shop(shop)))

    def _shop(self, name: str) -> Shop:
        return self._shops.setdefault(name, Shop(name))

    def _changed(self, shop: Shop) -> None:
        shop.changed_last = self._clock.monotonic()
        if shop.changed_first is None:
            shop.changed_first = shop.changed_last

    def _today(self) -> date:
        return self._clock.now().date()


def _passed(_statistic: MassDropped) -> str:
    """No list is made of what was dropped."""
    return "ignored"


def _known(shops: dict[str, Shop], lanes: Collection[int], key: bytes, value: bytes | None) -> bool:
    """Let a shop know a row; say whether the row is of these lanes.

    Of a lane that went to another instance Faust keeps what was set here; when the lane comes back, that is old.
    """
    row = row_of(key)
    if value is None or lane_of_shop(row.shop) not in lanes:
        return False
    shop = shops.setdefault(row.shop, Shop(row.shop))
    if row.number is not None:
        shop.numbers.set(row.number, int(value))
    elif row.told is not None:
        shop.told[row.told] = value
    return True


async def _changes(shop: Shop) -> list[Change]:
    """Return the lists that are not as they were told, and the names of those that are no more, in a fixed order."""
    found: list[Change] = []
    kept: set[ListName] = set()
    for number, (name, items) in enumerate(lists(shop.numbers)):
        kept.add(name)
        if (mark := digest(items)) != shop.told.get(name):
            found.append((name, items, mark))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    gone = sorted((name for name in shop.told if name not in kept), key=lambda name: (name[0], name[1] or ""))
    return found + [(name, (), None) for name in gone]
