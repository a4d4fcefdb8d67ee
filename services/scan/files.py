"""Searches every file below a state directory, each as what it is."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from services.scan.findings import Find, Findings
from services.scan.needles import Searcher
from services.scan.segments import UndecodedBatch, batches

CHUNK_BYTES = 4 * 1024 * 1024


def search_files(state: Path, matcher: Searcher) -> Findings:
    """Search all regular files; a file that vanishes meanwhile is counted, an unreadable one is named."""
    findings = Findings()
    for path in _files(state):
        name = str(path.relative_to(state))
        try:
            _search(path, name, kind_of(Path(name)), matcher, findings)
        except FileNotFoundError:
            findings.vanished += 1
        except OSError:
            findings.undecoded.append(name)
    return findings


def kind_of(name: Path) -> str:
    """Return what kind of place a file is, by its name below the state directory."""
    match name.parts:
        case ("kafka", *rest) if name.suffix in (".log", ".deleted") and len(rest) >= 3:
            return "kafka-record"
        case ("kafka", *_):
            return "kafka-file"
        case ("postgres", _, "pg_wal", *_):
            return "wal"
        case ("postgres", _, "base" | "global", *_):
            return "relation-file"
        case ("postgres", *_):
            return "log" if name.suffix == ".log" else "database-file"
        case ("logs", *_):
            return "log"
        case _:
            return "file"


def _files(state: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(state):
        for name in sorted(names):
            path = Path(folder) / name
            # A link leads to a file that is searched itself, or out of the state directory.
            if path.is_file() and not path.is_symlink():
                yield path


def _search(path: Path, name: str, kind: str, matcher: Searcher, findings: Findings) -> None:
    if kind == "kafka-record":
        size = _search_segment(path.read_bytes(), name, matcher, findings)
        findings.count(kind, size)
        return
    size = 0
    with path.open("rb") as file:
        for start, end in _written(file.fileno()):
            size += end - start
            file.seek(start)
            for match in matcher.matches_in(_chunks(file, end - start), start):
                findings.finds.append(Find(kind, f"{name}@{match.position}", match.form, match.needle))
    findings.count(kind, size)


def _search_segment(segment: bytes, name: str, matcher: Searcher, findings: Findings) -> int:
    """Search a segment batch by batch, and what is no batch as it is; return the bytes searched."""
    end = 0
    size = len(segment)
    for batch in batches(segment):
        end = batch.end
        where = f"{name} offset {batch.offset} ({batch.codec_name})"
        try:
            content = batch.content()
        except UndecodedBatch:
            findings.undecoded.append(where)
            content = batch.body
        size += len(content) - len(batch.body)
        for match in matcher.matches(content):
            findings.finds.append(Find("kafka-record", where, match.form, match.needle))
    for match in matcher.matches(segment[end:], end):
        findings.finds.append(Find("kafka-record", f"{name}@{match.position}", match.form, match.needle))
    return size


def _chunks(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0:
        chunk = file.read(min(CHUNK_BYTES, length))
        if not chunk:
            return
        length -= len(chunk)
        yield chunk


def _written(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a file that were ever written: a hole has no bytes and reads as zeros."""
    size = os.fstat(descriptor).st_size
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            # A file system that knows nothing of holes: everything is data.
            start, position = position, size
        yield start, position
