"""How the demo tells its story: a live view while things move, then one sentence per finding.

Without a terminal, or with NO_COLOR, plain lines and no live view.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.demo.findings import Check

Counters = Callable[[], Mapping[str, object]]
REFRESH_SECONDS = 0.5
PLAIN_SECONDS = 5.0
"""Without a terminal a line of counters is worth printing this often."""


class Telling:
    """Says everything on one console."""

    def __init__(self, console: Console | None = None) -> None:
        plain = "NO_COLOR" in os.environ
        self.console = console or Console(highlight=False, soft_wrap=True, no_color=plain or None)
        self.lively = self.console.is_terminal and not plain
        self.began = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self.began

    def heading(self, text: str) -> None:
        """Begin a step."""
        self.console.print()
        self.console.print(Text.assemble((f"{self.elapsed_seconds:5.1f} s  ", "dim"), (text, "bold")))

    def line(self, text: str) -> None:
        """Tell something that is no check."""
        self.console.print(f"         {text}", markup=False)

    def command(self, text: str) -> None:
        """Show a command that is run."""
        self.console.print(f"         $ {text}", style="dim", markup=False)

    def check(self, check: Check) -> None:
        """Tell what was checked, and whether it holds."""
        mark = ("   ok    ", "green") if check.passed else (" FAILED  ", "bold red")
        self.console.print(Text.assemble(mark, check.says))

    @contextmanager
    def watching(self, counters: Counters) -> Iterator[None]:
        """Show counters while the body runs."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(counters, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _watch(self, counters: Counters, done: threading.Event) -> None:
        if not self.lively:
            return self._watch_in_lines(counters, done)
        with Live(_table(counters()), console=self.console, auto_refresh=False) as live:
            ended = False
            while not ended:
                ended = done.wait(REFRESH_SECONDS)
                live.update(_table(counters()), refresh=True)
        return None

    def _watch_in_lines(self, counters: Counters, done: threading.Event) -> None:
        said, ended = "", False
        while not ended:
            ended = done.wait(PLAIN_SECONDS)
            line = " · ".join(f"{value} {name}" for name, value in counters().items() if value)
            if line != said:
                self.line(line)
                said = line


def _table(counters: Mapping[str, object]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 8))
    for name, value in counters.items():
        table.add_row(Text(name, style="dim"), Text(str(value), justify="right"))
    return table
