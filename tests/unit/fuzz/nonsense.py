"""What somebody might send instead of what was agreed: valid messages, damaged in the ways that parsers fall for.

Every value that a person could have written holds `CANARY`: whatever is answered, logged or raised must not.
What was once found to break something lies in `corpus/<target>/`, a file each, and is tried in every run; hypothesis
prints what it finds as bytes, to be kept there under a name that says what it is.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hypothesis import strategies as st
from prometheus_client import generate_latest

from services.kernel.telemetry import log, metrics

CANARY = "Quxolotl"
CORPUS = Path(__file__).with_name("corpus")

NASTY = (
    b"", b"\0", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\xc0\xaf", b"\xff\xfe", b"\xef\xbb\xbf", b"NaN",
    b"-Infinity", b"1e999", b"9" * 400, b"-0", b"1E400", b"18446744073709551616", b'"' + b"A" * 70_000 + b'"',
    b"[" * 40, b"]" * 3, b"{}", b"[]", b"null", b"true", b"0.1", b'""', b"\x1b[31m", b"\\", b'"', b"\r\n",
    "\u202e".encode(), b"\\u202e", CANARY.encode(), b'"' + CANARY.encode() + b'"',
    b".", b"=", b"-", b"_", b"%00", b"//",
)  # fmt: skip
_VALUE = re.compile(rb':\s*("(?:[^"\\]|\\.)*"|-?\d+|true|false|null)')
_KEY = re.compile(rb'"(\w+)"\s*:')

Draw = Callable[[st.SearchStrategy[int]], int]


def corpus(target: str) -> list[tuple[str, bytes]]:
    """Return name and content of every file that was kept for a target."""
    found = [(path.name, path.read_bytes()) for path in sorted((CORPUS / target).iterdir())]
    assert found, target
    return found


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds after one to four injuries."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.sampled_from(_INJURIES))(draw, data)
    return data


def _place(draw: Draw, data: bytes) -> int:
    return draw(st.integers(0, max(0, len(data) - 1)))


def _flip(draw: Draw, data: bytes) -> bytes:
    if not data:
        return data
    at = _place(draw, data)
    return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]


def _cut(draw: Draw, data: bytes) -> bytes:
    return data[: _place(draw, data)]


def _drop(draw: Draw, data: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + data[at + draw(st.integers(1, 20)) :]


def _repeat(draw: Draw, data: bytes) -> bytes:
    at, length = _place(draw, data), draw(st.integers(1, 60))
    return data[: at + length] + data[at:]


def _insert(draw: Draw, data: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + _nasty(draw) + data[at:]


def _nasty(draw: Draw) -> bytes:
    return NASTY[draw(st.integers(0, len(NASTY) - 1))]


def _other_value(draw: Draw, data: bytes) -> bytes:
    """Another type where a value was: a list for a text, a text for a number."""
    return _one_of(draw, _VALUE, data, lambda found: b":" + _nasty(draw))


def _key_twice(draw: Draw, data: bytes) -> bytes:
    return _one_of(draw, _KEY, data, lambda found: b'"%s":"%s",%s' % (found[1], CANARY.encode(), found[0]))


def _made_up_key(draw: Draw, data: bytes) -> bytes:
    return _one_of(draw, _KEY, data, lambda found: b'"%s":1,%s' % (CANARY.encode(), found[0]))


def _nested(draw: Draw, data: bytes) -> bytes:
    depth = draw(st.sampled_from((1, 31, 33, 200, 5_000)))
    return _one_of(draw, _VALUE, data, lambda found: b":" + b"[" * depth + b"1" + b"]" * depth)


def _one_of(
    draw: Draw, form: re.Pattern[bytes], data: bytes, new: Callable[[re.Match[bytes]], bytes]
) -> bytes:
    found = list(form.finditer(data))
    if not found:
        return data
    chosen = found[draw(st.integers(0, len(found) - 1))]
    return data[: chosen.start()] + new(chosen) + data[chosen.end() :]


_INJURIES = (
    _flip,
    _cut,
    _drop,
    _repeat,
    _insert,
    _other_value,
    _other_value,
    _key_twice,
    _made_up_key,
    _nested,
)


@contextlib.contextmanager
def nothing_is_told() -> Iterator[None]:
    """Log as a process does, and assert that neither its lines nor its metrics hold anything that was sent."""
    said = io.StringIO()
    log.configure("fuzz-1")
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield
    finally:
        log._configure_lines("unconfigured", log.logging.INFO)
    assert CANARY not in said.getvalue()
    assert CANARY.encode() not in generate_latest(metrics.REGISTRY)


def says_nothing_of(error: BaseException) -> None:
    """Assert that an error holds nothing that was sent: neither in its text nor in its fields, nor behind it."""
    assert CANARY not in f"{error}{error!r}{getattr(error, 'fields', '')}{getattr(error, '__notes__', '')}"
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
