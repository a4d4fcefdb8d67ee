"""What a verb says: one answer on the standard output, as text or JSON; everything else on the error output."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

stdout = Console(soft_wrap=True, highlight=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def answer(data: Mapping[str, Any] | Sequence[Any], as_json: bool, text: object = None) -> None:
    """Print the answer of a verb: `data` as one JSON document, or `text` (str or a rich renderable) for people."""
    if as_json:
        print(json.dumps(data, indent=2, default=str))
    elif text is not None:
        stdout.print(text, markup=False) if isinstance(text, str) else stdout.print(text)


def say(line: str) -> None:
    """Tell a waiting person what is going on."""
    stderr.print(line, style="dim", markup=False)


def complain(line: str) -> None:
    """Tell why a verb did not do what was asked."""
    stderr.print(line, style="red", markup=False)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a plain table of text."""
    built = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        built.add_row(*("" if cell is None else str(cell) for cell in row))
    return built
