"""Shuffled cells on their way to Kafka: a record for each lane, sent again until Kafka has it, up to a bound.

A repeat does no harm: the same tag in the same cell and window is one contribution, however often it is read.
"""

import uuid
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import orjson

from schemas.clicks import CellsSeen
from schemas.envelope import Envelope
from schemas.topics import CLICKS
from services.gateway.behind import Behind
from services.gateway.clicks.contribution import Contribution
from services.gateway.refusals import Refusal
from services.kernel.broker.interface import Message
from services.kernel.broker.partition import lane_of_cell
from services.kernel.failpoints import Step, step
from services.kernel.telemetry import metrics

RECORD_BYTES = 200 * 1024
"""About so long a record becomes: less than the producer's batch."""
MOST_WAITING = 200_000
"""So many contributions may wait for Kafka, of the order of 100 MB; of what comes beyond, the newest is dropped."""


class Room(NamedTuple):
    """What those who leave together have in common; their records say it in clear."""

    storefront: str
    key: int
    """Number of the tag key."""
    hour: datetime


class Departures:
    """What has left its crowd and not arrived. In memory only: what a killed gateway had here is lost."""

    def __init__(self, behind: Behind, policy: str) -> None:
        self._behind = behind
        self._policy = policy
        self._lanes: deque[tuple[Room, int, list[Contribution]]] = deque()
        self.waiting = 0
        """Contributions."""

    def add(self, room: Room, contributions: Sequence[Contribution]) -> bool:
        """Take what leaves together; False where too much waits already, and then it is dropped whole."""
        if self.waiting + len(contributions) > MOST_WAITING:
            return False
        lane_by_id = {
            cell: lane_of_cell(room.storefront, cell) for cell in {each.id for each in contributions}
        }
        lanes: dict[int, list[Contribution]] = defaultdict(list)
        for each in contributions:
            lanes[lane_by_id[each.id]].append(each)
        self._lanes.extend((room, lane, mine) for lane, mine in sorted(lanes.items()))
        self.waiting += len(contributions)
        return True

    async def send(self, refusals: int = 1) -> None:
        """Send everything that waits, the oldest first, until Kafka has not confirmed so many times.

        What waits for a lane that it does not confirm goes behind all others: a sick lane holds none of them.
        """
        while self._lanes and refusals:
            room, lane, mine = self._lanes[0]
            try:
                with step(Step.CLICKS):
                    await self._behind.send(list(records(room, lane, mine, self._policy)))
            except Refusal:
                self._last(lane)
                refusals -= 1
                continue
            self._lanes.popleft()
            self.waiting -= len(mine)
            metrics.CELLS_SENT.inc(len(mine))

    def _last(self, lane: int) -> None:
        """Put a lane behind all others; among what it gets the order stays."""
        self._lanes = deque(sorted(self._lanes, key=lambda each: each[1] == lane))

    def give_up(self) -> int:
        """Drop what waits, at the end of the process; return how many contributions that were."""
        lost, self.waiting = self.waiting, 0
        self._lanes.clear()
        return lost


def records(room: Room, lane: int, contributions: Sequence[Contribution], policy: str) -> Iterator[Message]:
    """Yield the records of one lane: cells in the order that chance gave them, the hour as the only time."""
    headers = _same_headers(room.storefront, room.hour, policy)
    for cells in _parts(contributions):
        yield Message(
            CLICKS.name,
            b"",
            orjson.dumps({"storefront": room.storefront, "key": room.key, "cells": cells}),
            [("ce_id", str(uuid.uuid4()).encode()), *headers],
            lane,
            int(room.hour.timestamp()) * 1_000,
        )


def _parts(contributions: Sequence[Contribution]) -> Iterator[list[dict[str, str]]]:
    part: list[dict[str, str]] = []
    size = 0
    for each in contributions:
        # Everything but the sealed text has about this length.
        length = 200 + len(each.sealed)
        if part and size + length > RECORD_BYTES:
            yield part
            part, size = [], 0
        part.append(each._asdict())
        size += length
    if part:
        yield part


@lru_cache(maxsize=1_000)
def _same_headers(storefront: str, hour: datetime, policy: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that every record of a shop and an hour has: all but the id. No subject, no trace."""
    envelope = Envelope(
        id="-", type=CellsSeen.type, source=f"/storefronts/{storefront}", time=hour, policy=policy
    )
    return tuple(header for header in envelope.headers() if header[0] != "ce_id")
