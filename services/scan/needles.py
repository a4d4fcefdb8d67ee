"""The forms in which a text can lie about, and how to search bytes for all of them at once. Pure."""

import base64
import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

SHORTEST_BYTES = 6
"""A shorter text would be found by accident: three of its bytes survive the alignment of base64."""


class NeedleTooShort(ValueError):
    """A text is too short to be searched for without accidental finds."""


@dataclass(frozen=True, slots=True)
class Match:
    """One text in one of its forms."""

    needle: int
    """Place of the text in the list that was asked for."""
    form: str
    position: int


class Searcher(ABC):
    """Finds something in bytes, whole or piece by piece."""

    @abstractmethod
    def matches(self, data: bytes, start: int = 0) -> Iterator[Match]:
        """Yield every form that occurs in the bytes, once, at its first position counted from `start`."""

    @abstractmethod
    def rest(self, window: bytes) -> bytes:
        """Return the end of a piece that must be seen again together with the next one."""

    def matches_in(self, chunks: Iterable[bytes], start: int = 0) -> Iterator[Match]:
        """The same over a stream: what lies across the border of two chunks is found too."""
        seen: set[tuple[int, str]] = set()
        kept = b""
        for chunk in chunks:
            window = kept + chunk
            for match in self.matches(window, start - len(kept)):
                if (match.needle, match.form) not in seen:
                    seen.add((match.needle, match.form))
                    yield match
            start += len(chunk)
            kept = self.rest(window)


class Matcher(Searcher):
    """Finds every form of every text in bytes; the texts themselves are in no repr and no error."""

    def __init__(self, needles: Sequence[str]) -> None:
        found: dict[bytes, tuple[int, str]] = {}
        for number, needle in enumerate(needles):
            if len(needle.encode("utf-8", "surrogatepass")) < SHORTEST_BYTES:
                raise NeedleTooShort
            for form, pattern in forms(needle):
                found.setdefault(pattern, (number, form))
        # Texts of one kind begin alike: where their beginning is nowhere, one look spares one look for each.
        alike: dict[bytes, list[tuple[bytes, int, str]]] = defaultdict(list)
        for pattern, (number, form) in found.items():
            alike[pattern[:SHORTEST_BYTES]].append((pattern, number, form))
        # A longer beginning is looked for faster.
        self._groups = [(_beginning([pattern for pattern, *_ in group]), group) for group in alike.values()]
        self._overlap = max((len(pattern) for pattern in found), default=1) - 1

    def matches(self, data: bytes, start: int = 0) -> Iterator[Match]:
        for beginning, patterns in self._groups:
            first = data.find(beginning)
            for pattern, number, form in patterns if first >= 0 else ():
                position = data.find(pattern, first)
                if position >= 0:
                    yield Match(number, form, start + position)

    def rest(self, window: bytes) -> bytes:
        return window[-self._overlap :] if self._overlap else b""


def _beginning(patterns: Sequence[bytes]) -> bytes:
    """Return with what all of these begin."""
    first, last = min(patterns), max(patterns)
    length = next((place for place, byte in enumerate(first) if byte != last[place]), len(first))
    return first[:length]


def forms(needle: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every form of a text; equal ones more than once."""
    plain = needle.encode("utf-8", "surrogatepass")
    escaped = json.dumps(needle)[1:-1].encode("ascii")
    written = json.dumps(needle, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    yield "plain", plain
    yield "utf-16", needle.encode("utf-16-le", "surrogatepass")
    yield "utf-16", needle.encode("utf-16-be", "surrogatepass")
    for text in (escaped, written):
        yield "json", text
        # JSON that travels as a string inside JSON.
        yield "json-in-json", json.dumps(text.decode("utf-8", "surrogatepass"))[1:-1].encode("ascii")
    yield "percent", quote(plain, safe="").encode("ascii")
    for data in (plain, escaped, written):
        yield "hex", data.hex().encode("ascii")
        yield "hex", data.hex().upper().encode("ascii")
        for alignment in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield "base64", aligned(encode(b"\0" * alignment + data), alignment, len(data))


def aligned(encoded: bytes, alignment: int, length: int) -> bytes:
    """Return the characters that depend on the text alone, whatever stands before and after it."""
    first = -(-alignment * 8 // 6)
    last = (alignment + length) * 8 // 6
    return encoded[first:last]


FORM_NAMES = tuple(dict.fromkeys(name for name, _ in forms("text")))
"""Names of the forms in which a text is found."""
