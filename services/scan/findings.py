"""What a search found, where, and what it looked at. Never what stands around a find."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KINDS = {
    "kafka-record": "records of Kafka's log segments, batches decompressed, internal topics included",
    "kafka-file": "all other files of the broker",
    "table": "tables of every schema and database, read through PostgreSQL, dead letters and TOAST included",
    "relation-file": "raw relation files, dead rows included",
    "wal": "write-ahead logs",
    "database-file": "all other files of the database clusters",
    "log": "log files",
    "metrics": "metrics and health pages of running processes",
    "process": "command lines and environments of running processes",
    "file": "every other file of the state directory",
}
"""The kinds of place that are searched, each only after a control was found there."""

NOT_SEARCHED = (
    "memory and swap of running processes",
    "dead rows whose values PostgreSQL stored compressed, until vacuum removes them",
    "blocks that a file system keeps of deleted files",
    "anything outside the state directory: partners' systems, backups, storefronts",
    "sealed values: they are searched as they lie there, not opened",
)
"""What a search says nothing about."""


@dataclass(frozen=True, slots=True)
class Find:
    """A text was found here."""

    kind: str
    where: str
    """File with position, table, topic with offset, page or process; never a content."""
    form: str
    """`plain`, `json`, `base64`, …"""
    needle: int
    """Number of the text, from 0, in the order given."""


@dataclass(slots=True)
class Tally:
    """How much of one kind was searched."""

    places: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Findings:
    """The outcome of one search."""

    finds: list[Find] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    vanished: int = 0
    """Files that were deleted while the search went on."""
    undecoded: list[str] = field(default_factory=list)
    """Places that could not be searched; not empty means that nothing may be concluded."""

    def count(self, kind: str, size_bytes: int, places: int = 1) -> None:
        """Note that something was searched."""
        self.tallies[kind].places += places
        self.tallies[kind].bytes += size_bytes

    def of(self, needle: int) -> list[Find]:
        """Return the finds of one text."""
        return [find for find in self.finds if find.needle == needle]

    def places(self) -> Mapping[str, int]:
        """Return how many finds there are per kind of place."""
        return {kind: sum(find.kind == kind for find in self.finds) for kind in KINDS}


def merged(parts: Iterable[Findings]) -> Findings:
    """Return several outcomes as one."""
    whole = Findings()
    for part in parts:
        whole.finds += part.finds
        whole.vanished += part.vanished
        whole.undecoded += part.undecoded
        for kind, tally in part.tallies.items():
            whole.count(kind, tally.bytes, tally.places)
    return whole
