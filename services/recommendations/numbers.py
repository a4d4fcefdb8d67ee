"""What one shop has published, as far back as lists are made of it: numbers by kind, cell and window."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from sys import intern

from schemas.clicks import Kind, window_bounds

DAYS = 30
"""How far back a window may lie to be counted."""
RANKED = frozenset({Kind.PRODUCT, Kind.SEARCH, Kind.PAIR})
"""Of these lists are made."""

Name = tuple[Kind, str, str]
"""Which number: kind, window and cell."""
ByWindow = dict[str, int]


class Numbers:
    """The numbers of one shop. Set, never added to: the order in which they are set, and repeats, change nothing."""

    def __init__(self) -> None:
        self._cells: dict[Kind, dict[str, ByWindow]] = {kind: {} for kind in RANKED}
        self._sizes: dict[str, int] = {}
        """How many numbers there are of each window."""

    def set(self, name: Name, count: int) -> None:
        """Say what a number is now."""
        kind, window, cell = name
        windows = self._cells[kind].setdefault(cell, {})
        if window not in windows:
            window = intern(window)
            self._sizes[window] = self._sizes.get(window, 0) + 1
        windows[window] = count

    def drop_before(self, day: date) -> list[Name]:
        """Forget every window that began before a day; return the names of the numbers that are no more."""
        old = {window for window in self._sizes if began(window) < day}
        if not old:
            return []
        dropped = [name for name, _ in self if name[1] in old]
        for kind, window, cell in dropped:
            windows = self._cells[kind][cell]
            del windows[window]
            if not windows:
                del self._cells[kind][cell]
        for window in old:
            del self._sizes[window]
        return dropped

    def of(self, kind: Kind) -> Mapping[str, ByWindow]:
        """Return the numbers of a kind, by cell and window."""
        return self._cells[kind]

    @property
    def windows(self) -> frozenset[str]:
        """Every window of which anything is known."""
        return frozenset(self._sizes)

    @property
    def latest(self) -> str | None:
        """The window that ends last; of two that end together the shorter one."""
        return latest_of(self._sizes)

    def __iter__(self) -> Iterator[tuple[Name, int]]:
        for kind, cells in self._cells.items():
            for cell, windows in cells.items():
                for window, count in windows.items():
                    yield (kind, window, cell), count

    def __len__(self) -> int:
        return sum(self._sizes.values())


def latest_of(windows: Mapping[str, object] | frozenset[str]) -> str | None:
    """Return the window that ends last, None of none."""
    return max(windows, key=lambda window: (window_bounds(window)[1], window), default=None)


def began(window: str) -> date:
    """Return the day on which a window began."""
    return window_bounds(window)[0].date()


def first_day(today: date) -> date:
    """Return the earliest day of which numbers still count."""
    return today - timedelta(days=DAYS)
