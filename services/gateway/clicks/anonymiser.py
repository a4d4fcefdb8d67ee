"""From a page with an address to a shuffled crowd's cells on the topic, in order: key, visitor, cells, crowd, Kafka.

Address and user agent live for one call of `take`; nothing here is ever written to a disk. What a killed gateway
loses is what waited in it: of the current hour at most, `MOST_WAITING` contributions at most, and what Kafka had not
confirmed yet.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from schemas.clicks import CROWD, LEAST_CROWD, Kind, window_of
from schemas.envelope import to_the_hour
from schemas.topics import LANES
from services.gateway.behind import Behind
from services.gateway.clicks.cells import cells_of
from services.gateway.clicks.contribution import Contribution, SealedCells
from services.gateway.clicks.crowd import Chance, Crowd, Dropped, SystemChance
from services.gateway.clicks.departures import Departures, Room
from services.gateway.clicks.gone import Gone
from services.gateway.clicks.kept_key import KeptKey
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.gateway.clicks.tags import Visitor
from services.gateway.refusals import Code, Refusal
from services.kernel.clock import Clock
from services.kernel.errors import ConfigurationError, KeyringUnavailable
from services.kernel.sealing.interface import Keyring
from services.kernel.telemetry import log, metrics
from services.kernel.worker.background import Background

MOST_WAITING = 200_000
"""Contributions that may wait for a crowd at one gateway, all shops together: of the order of 100 MB."""
EARLY_NETWORKS = 1_000
"""A room that fills up leaves before its hour ends if those who wait in it come from so many networks, ..."""
EARLY_SECONDS = 600.0
"""... and the first of them came so long ago. Else whoever floods it decides who leaves with whom."""
TOLD_IN = 100
"""How many wait is told in steps: each page would be dated otherwise."""
TICK_SECONDS = 1.0
LAST_SECONDS = 12.0
"""How long a gateway that stops tries to send: one lane that Kafka never answers for, and then all others."""
HOUR_SECONDS = 3_600.0

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Mixing:
    """How visitors are hidden among each other; the same for every shop."""

    crowd: int = CROWD
    """Visitors of so many different networks leave together, or none."""
    hourly: frozenset[Kind] = frozenset()
    """Kinds that are counted by the hour; all others by the day. Never both: a day less its hours tells too much."""
    flush_seconds: float = HOUR_SECONDS
    """A crowd leaves when the hour ends. A shorter time is for trying things out: it tells what came before what."""

    def __post_init__(self) -> None:
        if self.crowd < LEAST_CROWD:
            raise ConfigurationError("crowd-too-small")
        if not 0 < self.flush_seconds <= HOUR_SECONDS:
            raise ConfigurationError("flush-seconds")


class _Waiting:
    """Those who wait in one room, until its hour ends."""

    __slots__ = ("crowd", "since", "windows")

    def __init__(self, room: Room, mixing: Mixing) -> None:
        self.crowd = Crowd(mixing.crowd)
        self.windows = {kind: window_of(room.hour, hourly=kind in mixing.hourly) for kind in Kind}
        self.since = 0.0
        """When the first of them came."""


class Anonymiser(Background):
    """A part of the gateway's process. Taking a page never waits for anybody."""

    def __init__(
        self,
        keyring: Keyring,
        behind: Behind,
        clock: Clock,
        mixing: Mixing,
        policy: str,
        chance: Chance | None = None,
    ) -> None:
        self._key = KeptKey(keyring, clock)
        self._clock = clock
        self._mixing = mixing
        self._chance: Chance = chance or SystemChance()
        self._departures = Departures(behind, policy)
        self._gone = Gone()
        self._cells = SealedCells(mixing.crowd)
        self._rooms: dict[Room, _Waiting] = {}
        self._waiting = 0
        self._told: datetime | None = None

    @property
    def ready(self) -> bool:
        """Whether a page would be taken now: there is a key."""
        return self._key.living is not None

    async def start(self) -> None:
        """Begin to ask for the key, and to let crowds leave."""
        await self._key.start()
        await super().start()

    async def stop(self) -> None:
        """Let leave what is a crowd, drop and count the rest. Nobody may call `take` any more."""
        await super().stop()
        for room in list(self._rooms):
            self._end(room)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._send(refusals=LANES)
        _drop(Dropped.KAFKA_AWAY, self._departures.give_up())
        await self._key.stop()

    def take(self, site: Site, address: str, agent: str, pages: Sequence[Page]) -> None:
        """Let pages of one visitor wait for a crowd; what has no room is dropped and counted.

        Raises `Refusal` (503) when there is no tag key; nothing was taken then.
        """
        try:
            self._take(site, address, agent, pages)
        except KeyringUnavailable:
            _drop(Dropped.NO_KEY, len(pages))
            raise Refusal(Code.TAG_KEY_MISSING) from None

    async def leave(self) -> None:
        """Let those leave whose time has come, end the rooms of past hours, and send what has left.

        Every shop's hour ends at once: after each room that is left, others whom this process serves have their turn.
        """
        hour, now = to_the_hour(self._clock.now()), self._clock.monotonic()
        for room, waiting in list(self._rooms.items()):
            if self._rooms.get(room) is not waiting:
                continue  # A page of its shop has ended it meanwhile.
            if room.hour != hour:
                self._end(room)
            elif now - waiting.since >= self._mixing.flush_seconds:
                self._leave(room)
                if not waiting.crowd.waiting:
                    # Whoever tries things out comes again at once: what is bounded by the hour begins anew.
                    del self._rooms[room]
            elif self._leaves_early(waiting.crowd, now - waiting.since):
                self._leave(room)
            else:
                continue
            await asyncio.sleep(0)
        await self._send()

    def _take(self, site: Site, address: str, agent: str, pages: Sequence[Page]) -> None:
        key = self._key.living
        if key is None:
            raise KeyringUnavailable("no-tag-key")
        visitor = Visitor(key, site.storefront, address, agent)
        room = Room(site.storefront, key.number, to_the_hour(self._clock.now()))
        waiting = self._rooms.get(room)
        if waiting is None:
            self._end_before(room)
            waiting = _Waiting(room, self._mixing)
        # All of them are made before any is kept: a key that dies in between leaves nothing half done.
        made = [
            self._cells.contribution(key, site.storefront, visitor, kind, waiting.windows[kind], text)
            for page in pages
            for kind, text in cells_of(page, site)
        ]
        new = [each for each in made if not self._gone.holds(key.number, each)]
        if new:
            self._rooms[room] = waiting
            self._wait(waiting, visitor, new)

    def _wait(self, waiting: _Waiting, visitor: Visitor, made: Sequence[Contribution]) -> None:
        crowd = waiting.crowd
        before = crowd.waiting
        if before + len(made) > self._most(crowd):
            _drop(Dropped.FULL, len(made))
            return
        if not before:
            waiting.since = self._clock.monotonic()
        left_out, why = crowd.add(visitor.mark, visitor.network, made)
        _drop(why, left_out)
        self._waiting += crowd.waiting - before

    def _most(self, crowd: Crowd) -> int:
        """Return how many may wait in a room: half of what the others leave, so that none ever takes it all."""
        return (MOST_WAITING - (self._waiting - crowd.waiting)) // 2

    def _leaves_early(self, crowd: Crowd, seconds: float) -> bool:
        """Whether a room fills up that so many came to, for so long, that nobody could have filled it by himself."""
        crowded = crowd.networks >= EARLY_NETWORKS and seconds >= EARLY_SECONDS
        return crowded and 2 * crowd.waiting >= self._most(crowd)

    def _leave(self, room: Room) -> None:
        """Let a crowd leave; whoever is none waits on."""
        crowd = self._rooms[room].crowd
        if crowd.enough:
            everything = crowd.leave(self._chance)
            self._waiting -= len(everything)
            if self._departures.add(room, everything):
                self._gone.note(room.key, everything)
            else:
                _drop(Dropped.KAFKA_AWAY, len(everything))

    def _end_before(self, room: Room) -> None:
        """End what is left of the shop's past hours: what leaves with them is known before more of it comes."""
        for other in [each for each in self._rooms if each.storefront == room.storefront]:
            if other.hour != room.hour:
                self._end(other)

    def _end(self, room: Room) -> None:
        """Let a crowd leave, or drop those who are none: nobody else will come to them."""
        self._leave(room)
        too_few = self._rooms.pop(room).crowd
        self._waiting -= too_few.waiting
        _drop(Dropped.NO_CROWD, too_few.waiting)
        # What somebody searched for is not known here for longer than its hour.
        self._cells.clear()

    async def _send(self, refusals: int = 1) -> None:
        await self._departures.send(refusals)
        metrics.CELLS_WAITING.labels(reason="kafka").set(self._departures.waiting)
        minute = self._clock.now().replace(second=0, microsecond=0)
        if minute != self._told:
            self._told = minute
            metrics.CELLS_WAITING.labels(reason="crowd").set(self._waiting // TOLD_IN * TOLD_IN)

    async def _work(self) -> None:
        while True:
            await self._clock.sleep(min(TICK_SECONDS, self._mixing.flush_seconds))
            try:
                await self.leave()
            except Exception as error:  # noqa: BLE001 - what went wrong with one crowd must not hold all others
                _log.error("crowd stayed", exc_info=error)


def _drop(why: Dropped, count: int) -> None:
    if count:
        metrics.CELLS_DROPPED.labels(reason=str(why)).inc(count)
