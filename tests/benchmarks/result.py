"""What a benchmark module gives back.

Each module has a function `measure(stack, rounds) -> Result`. It is given a platform of its own on which Kafka and
PostgreSQL run and no worker yet, starts what it needs and ends every process it started beside the platform's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from deploy.local.stack import Stack


@dataclass(frozen=True)
class Result:
    """Ratios with their spread, figures for machines, and tables for people."""

    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """`ours/theirs` and its value in each round; higher is better for us."""
    goals: Mapping[str, float] = field(default_factory=dict)
    """The least that a ratio's median should be."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Everything measured, as JSON."""
    table: str = ""
    """Markdown, as it goes between the module's markers in the document."""


class Measure(Protocol):
    """What each benchmark module has under the name `measure`."""

    def __call__(self, stack: Stack, rounds: int) -> Result:
        """Measure in so many interleaved rounds."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
