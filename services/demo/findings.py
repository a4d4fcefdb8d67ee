"""What the demo found out: one verdict per check and some figures, written where a program can read them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and the sentence that says it to a person."""

    name: str
    passed: bool
    says: str


@dataclass
class Findings:
    """Every check and figure of one run."""

    checks: dict[str, bool] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, checks: Iterable[Check]) -> None:
        """Take checks in; a name that comes twice holds only if it holds every time."""
        for check in checks:
            self.checks[check.name] = bool(check.passed) and self.checks.get(check.name, True)

    @property
    def passed(self) -> bool:
        """Whether there were checks, and all of them hold."""
        return bool(self.checks) and all(self.checks.values())

    @property
    def failed(self) -> list[str]:
        return [name for name, passed in self.checks.items() if not passed]

    def write(self, path: Path) -> None:
        """Write `{"checks": {name: bool}, "figures": {name: number}}`."""
        figures = {name: round(value, 3) for name, value in self.figures.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"checks": self.checks, "figures": figures}, indent=2) + "\n", "utf-8")


def median(values: Iterable[float]) -> float:
    """Return the middle value; 0 for none."""
    return share(values, 0.5)


def share(values: Iterable[float], part: float) -> float:
    """Return the value that so large a part of all values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
