"""What lies on the topic, as whoever reads it sees it; and what the attacker alone does not see: the truth."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from services.kernel.errors import RejectedRecord
from services.kernel.sealing.crowds import opened


class Contribution(NamedTuple):
    """One cell of one record, with everything around it."""

    position: int
    """Its place among all cells, in the order in which Kafka got them."""
    flush: int
    """Which stretch of records without a pause between them; an order, no time."""
    lane: int
    offset: int
    moment: datetime
    """Time of the record."""
    kind: str
    window: str
    id: str
    tag: str
    text: str | None
    """What it says, where somebody can read it."""


@dataclass(frozen=True)
class Raw:
    """A record as it came to Kafka: `arrival` counts the sendings, as the times of WAL and log files would show."""

    arrival: int
    lane: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


@dataclass(frozen=True)
class Truth:
    """Who made which contribution, by tag and cell; when he did; only the judge knows it."""

    who: Mapping[tuple[str, str], int]
    when: Mapping[tuple[str, str], datetime]

    def visitor(self, cell: Contribution) -> int:
        return self.who[cell.id, cell.tag]

    def same(self, one: Contribution, other: Contribution) -> bool:
        return self.visitor(one) == self.visitor(other)


@dataclass(frozen=True)
class Stream:
    """A day as it was written."""

    name: str
    raw: Sequence[Raw]
    cells: Sequence[Contribution]
    truth: Truth
    sealed: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """By cell: the sealed text, and the shares by tag."""


MOST_SHARES = 20
"""More than any crowd here; fewer are tried where there are not as many."""


def read(raw: Iterable[Raw]) -> tuple[list[Contribution], dict[str, tuple[str, Mapping[str, str]]]]:
    """Return every cell, opened where the shares of a crowd are on the topic, as anybody can; and what is sealed."""
    parsed = [(record, json.loads(record.value)) for record in raw]
    sealed, texts = opened_of(cell for _, said in parsed for cell in said["cells"])
    found: list[Contribution] = []
    for record, said in parsed:
        moment = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        for cell in said["cells"]:
            found.append(
                Contribution(
                    len(found), record.arrival, record.lane, record.offset, moment, cell["kind"], cell["window"],
                    cell["id"], cell["tag"], texts[cell["id"]],
                )
            )  # fmt: skip
    return found, sealed


def opened_of(
    cells: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, tuple[str, Mapping[str, str]]], dict[str, str | None]]:
    """Return, by cell, what is sealed with all shares that there are; and what these open, None where too few."""
    sealed = _sealed(cells)
    return sealed, {name: _opened(name, *parts) for name, parts in sealed.items()}


def _sealed(cells: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, Mapping[str, str]]]:
    shares: dict[str, dict[str, str]] = defaultdict(dict)
    sealed: dict[str, str] = {}
    for cell in cells:
        shares[cell["id"]][cell["tag"]] = cell["share"]
        sealed[cell["id"]] = cell["sealed"]
    return {name: (sealed[name], shares[name]) for name in sealed}


def _opened(name: str, sealed: str, shares: Mapping[str, str]) -> str | None:
    """Open with the shares there are: whoever attacks does not mind how large a crowd is said to be."""
    try:
        return opened(name, sealed, shares, min(len(shares), MOST_SHARES))
    except RejectedRecord:
        return None
