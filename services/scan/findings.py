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

SEALED = "sealed"
"""The kind of a find inside a sealed value; its place says where that lies."""

NOT_SEARCHED = (
    "memory and swap of running processes",
    "dead rows whose values PostgreSQL stored compressed, until vacuum removes them",
    "blocks that a file system keeps of deleted files",
    "anything outside the state directory: partners' systems, backups, storefronts",
)
"""What no search says anything about."""
NOT_OPENED = "sealed values: they are searched as they lie there, not opened"
CUT = "sealed values of which only pieces are left: what a page or a segment cuts is whole nowhere"


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
class Inside:
    """How much of what was found sealed could be opened with the keys that live."""

    values: int = 0
    """Different ones, controls left out."""
    opened: int = 0
    dead: int = 0
    """Their key is destroyed: nobody can open them any more."""
    foreign: int = 0
    """Their key was never in this keyring."""
    damaged: int = 0
    """Their key lives and does not open them."""
    pieces: int = 0
    """Beginnings of values that are not whole where they lie; the whole value may lie elsewhere."""
    keys: int = 0
    """Living ones, the control's left out."""
    broken_keys: int = 0
    """Living ones that do not unwrap: somebody altered the keyring's rows."""
    every_key_tried: bool = True
    """Whether every key was tried on every value; if not, only the key that each value names."""


@dataclass(slots=True)
class Findings:
    """The outcome of one search."""

    finds: list[Find] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    vanished: int = 0
    """Files that were deleted while the search went on."""
    undecoded: list[str] = field(default_factory=list)
    """Places that could not be searched; not empty means that nothing may be concluded."""
    inside: Inside | None = None
    """What became of sealed values; None where they were not opened."""

    def count(self, kind: str, size_bytes: int, places: int = 1) -> None:
        """Note that something was searched."""
        self.tallies[kind].places += places
        self.tallies[kind].bytes += size_bytes

    def of(self, needle: int) -> list[Find]:
        """Return the finds of one text."""
        return [find for find in self.finds if find.needle == needle]

    def places(self) -> Mapping[str, int]:
        """Return how many finds there are per kind of place."""
        return {kind: sum(find.kind == kind for find in self.finds) for kind in (*KINDS, SEALED)}

    def not_searched(self) -> tuple[str, ...]:
        """Return what these findings say nothing about."""
        return (*NOT_SEARCHED, CUT if self.inside else NOT_OPENED)


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
