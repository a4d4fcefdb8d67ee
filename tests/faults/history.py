"""What happened, line by line: what was sent and answered, which fault began and ended when, how long repair took.

JSON lines under `build/faults/<test>/`, so that a judgement can be made again long after the platform is gone:

    history.jsonl   what the harness did and was told (written while it happens)
    holdings.jsonl  what the platform held when everything had come to rest (written once, by holdings.py)
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]
"""One line; `kind` says what it tells, `at` when, in seconds since the epoch."""
HISTORY, HOLDINGS = "history.jsonl", "holdings.jsonl"


class History:
    """Writes one trial's lines, each as it happens; several threads may tell at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.Lock()
        for name in (HISTORY, HOLDINGS):
            (folder / name).unlink(missing_ok=True)

    def tell(self, kind: str, **facts: Any) -> None:
        """Add one line."""
        line = json.dumps({"kind": kind, "at": round(time.time(), 4), **facts}, default=str)
        with self._lock, (self.folder / HISTORY).open("a") as file:
            file.write(line + "\n")

    def lines(self) -> list[Line]:
        """Return everything told so far."""
        return read(self.folder / HISTORY)


def read(path: Path) -> list[Line]:
    """Return the lines of a file; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, lines: Iterable[Line]) -> None:
    """Write lines to a file, in place of what it held."""
    path.write_text("".join(json.dumps(line, default=str) + "\n" for line in lines), "utf-8")


def of(lines: Iterable[Line], kind: str, **facts: Any) -> Iterator[Line]:
    """Yield the lines of a kind that have all these facts."""
    for line in lines:
        if line["kind"] == kind and all(line.get(name) == fact for name, fact in facts.items()):
            yield line
