"""Collects sealed values out of bytes, in every form in which the scanner knows a text to lie about. Pure."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.privacy import SEALED_BYTES
from services.scan.needles import Match, Searcher, aligned

_HEAD = b"eyJhbGciOiJkaXIi"
"""Base64url of `{"alg":"dir"`, with which every sealed value begins."""
_TOKEN = re.compile(rb"eyJhbGciOiJkaXIi[\w-]+\.\.[\w-]{16}\.[\w-]+\.[\w-]{22}", re.ASCII)
_MOST_BYTES = 2 * SEALED_BYTES
"""Longest form of the longest value: UTF-16 and hexadecimal double it."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One way of writing a value down."""

    name: str
    head: bytes
    run: re.Pattern[bytes]
    """Matches from the head on everything that may belong to the value."""
    decode: Callable[[bytes], bytes]
    before: int = 0
    """Bytes before the head that the decoding needs: those of a group of base64 that the head does not fill."""


def _unbase64(run: bytes) -> bytes:
    whole = run.translate(bytes.maketrans(b"-_", b"+/"))
    # One character too many says nothing; two or three are a group without its padding.
    whole = whole[: len(whole) - (len(whole) % 4 == 1)]
    return base64.b64decode(whole + b"=" * (-len(whole) % 4))


def _forms() -> Iterator[_Form]:
    yield _Form("plain", _HEAD, re.compile(rb"[\w.-]+", re.ASCII), bytes)
    # Characters with a zero between two of them: whichever byte comes first.
    wide = re.compile(rb"[\w.-](?:\0[\w.-])*", re.ASCII)
    yield _Form("utf-16", b"\0".join(bytes([each]) for each in _HEAD), wide, lambda run: run[::2])
    for head in (_HEAD.hex(), _HEAD.hex().upper()):
        pairs = re.compile(rb"(?:[0-9a-fA-F]{2})+")
        yield _Form("hex", head.encode(), pairs, lambda run: bytes.fromhex(run.decode()))
    for alignment in range(3):
        head_form = aligned(base64.b64encode(b"\0" * alignment + _HEAD), alignment, len(_HEAD))
        before = -(-alignment * 8 // 6)
        yield _Form("base64", head_form, re.compile(rb"[\w+/-]+", re.ASCII), _unbase64, before)


_FORMS = tuple(_forms())
FORMS = tuple(dict.fromkeys(form.name for form in _FORMS))
"""Names of the forms in which a sealed value is found."""
_SHORTEST_REST = max(len(form.head) + form.before for form in _FORMS) - 1


def written(token: str) -> Iterator[bytes]:
    """Yield a value in every form in which the collector must find it."""
    plain = token.encode("ascii")
    yield plain
    yield token.encode("utf-16-le")
    yield token.encode("utf-16-be")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for alignment in range(3):
        yield base64.b64encode(b"\0" * alignment + plain)


class TokenCollector(Searcher):
    """Finds sealed values that nobody has named before, and gives each a number; the first one found is 0."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.pieces = 0
        """Beginnings of values that broke off: cut by the border of a page, or overwritten."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every value found so far, in the order of its number."""
        return tuple(self._numbers)

    def matches(self, data: bytes, start: int = 0) -> Iterator[Match]:
        seen: set[tuple[int, str]] = set()
        for form in _FORMS:
            for position, token in self._found(form, data):
                number = self._numbers.setdefault(token, len(self._numbers))
                if (number, form.name) not in seen:
                    seen.add((number, form.name))
                    yield Match(number, form.name, start + position)

    def rest(self, window: bytes) -> bytes:
        starts = [start for form in _FORMS if (start := _unfinished(form, window)) is not None]
        return window[min([max(0, len(window) - _SHORTEST_REST), *starts]) :]

    def _found(self, form: _Form, data: bytes) -> Iterator[tuple[int, str]]:
        position = data.find(form.head)
        while position >= 0:
            run = form.run.match(data, position, position + _MOST_BYTES)
            assert run  # A head is made of what a run is made of.
            if position >= form.before:
                token = _TOKEN.search(form.decode(data[position - form.before : run.end()]))
                if token:
                    yield position, token.group().decode()
                elif run.end() < len(data):
                    self.pieces += 1
            position = data.find(form.head, position + len(form.head))


def _unfinished(form: _Form, window: bytes) -> int | None:
    """Return where a value begins that may go on in the next piece, None where none does."""
    position = window.rfind(form.head)
    if position < 0 or len(window) - position > _MOST_BYTES:
        return None
    run = form.run.match(window, position)
    # A character of UTF-16, or a pair of hexadecimal digits, may itself be cut.
    return max(0, position - form.before) if run and run.end() >= len(window) - 1 else None
