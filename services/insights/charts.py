"""Where everything of a drawing stands: numbers in, coordinates out. Templates only print them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.clicks import ENTRY, OTHER

TONES = 6
"""Colours that take turns among routes; those of the outside and of the unnamed are apart."""
GAP = 8.0
LEAST_PITCH = 20.0
"""From the middle of one node to that of the next: a line of text must fit."""
BAR = 10.0
THICKNESS = 420.0
"""Of all bands together."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many went from one place to another."""

    source: str
    target: str
    at_least: int


@dataclass(frozen=True, slots=True)
class Node:
    """A place on one side of the flow."""

    label: str
    name: str
    tone: str
    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return round(self.y + self.height / 2, 1)


@dataclass(frozen=True, slots=True)
class Band:
    """The steps between two places."""

    step: Step
    tone: str
    path: str


@dataclass(frozen=True, slots=True)
class Flow:
    """Two columns of places and the bands between them. Steps, not journeys: nobody's way leads through it."""

    width: float
    height: float
    left: tuple[Node, ...]
    right: tuple[Node, ...]
    bands: tuple[Band, ...]
    bar: float = BAR


def flow(steps: Sequence[Step], width: float, margin: float, letters: int) -> Flow:
    """Draw steps, the greatest first; `margin` is left for labels on both sides, `letters` is how many fit."""
    total = sum(each.at_least for each in steps) or 1
    unit = THICKNESS / total
    tones = _tones(steps)
    left = _column([each.source for each in steps], steps, unit, margin, letters, tones, "source")
    right = _column(
        [each.target for each in steps], steps, unit, width - margin - BAR, letters, tones, "target"
    )
    height = max(
        (each.middle + max(each.height, LEAST_PITCH) / 2 for each in (*left.values(), *right.values())),
        default=0,
    )
    bands = _bands(steps, left, right, unit, tones)
    return Flow(width, round(height + 2, 1), tuple(left.values()), tuple(right.values()), tuple(bands))


def _tones(steps: Sequence[Step]) -> dict[str, str]:
    names = dict.fromkeys(name for each in steps for name in (each.source, each.target))
    plain = [name for name in names if name not in (ENTRY, OTHER)]
    tones = {name: f"tone-{number % TONES}" for number, name in enumerate(plain)}
    return tones | {ENTRY: "tone-entry", OTHER: "tone-other"}


def _column(
    names: Sequence[str],
    steps: Sequence[Step],
    unit: float,
    x: float,
    letters: int,
    tones: dict[str, str],
    side: str,
) -> dict[str, Node]:
    sums = dict.fromkeys(names, 0)
    for each in steps:
        sums[getattr(each, side)] += each.at_least
    nodes: dict[str, Node] = {}
    y, last = 2.0, -LEAST_PITCH
    for name, amount in sorted(sums.items(), key=lambda item: -item[1]):
        height = round(max(2.0, amount * unit), 1)
        y = max(y, last + LEAST_PITCH - height / 2)
        nodes[name] = Node(shortened(name, letters), name, tones[name], round(x, 1), round(y, 1), height)
        y, last = y + height + GAP, y + height / 2
    return nodes


def _bands(
    steps: Sequence[Step], left: dict[str, Node], right: dict[str, Node], unit: float, tones: dict[str, str]
) -> list[Band]:
    """Stack the bands of each place in the order of the places on the other side, so that they cross least."""
    begins = {name: node.y for name, node in left.items()}
    ends = {name: node.y for name, node in right.items()}
    tops: dict[Step, float] = {}
    for each in sorted(steps, key=lambda step: right[step.target].y):
        tops[each] = begins[each.source]
        begins[each.source] += each.at_least * unit
    bands = []
    for each in sorted(steps, key=lambda step: left[step.source].y):
        path = _ribbon(
            left[each.source].x + BAR,
            tops[each],
            right[each.target].x,
            ends[each.target],
            each.at_least * unit,
        )
        ends[each.target] += each.at_least * unit
        bands.append(Band(each, tones[each.source], path))
    return bands


def _ribbon(x0: float, y0: float, x1: float, y1: float, thickness: float) -> str:
    middle = (x0 + x1) / 2
    return (
        f"M{x0:.1f},{y0:.1f}C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
        f"v{thickness:.1f}C{middle:.1f},{y1 + thickness:.1f} {middle:.1f},{y0 + thickness:.1f} "
        f"{x0:.1f},{y0 + thickness:.1f}Z"
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One bucket of a small drawing."""

    bucket: str
    at_least: int
    """0: fewer than a crowd, or nobody; which of them is not known."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Panel:
    """How long one place was in sight."""

    place: str
    columns: tuple[Column, ...]
    width: float
    height: float
    floor: float
    """Where columns stand."""


PANEL_WIDTH, PANEL_HEIGHT, PANEL_FLOOR, PANEL_TOP = 264.0, 118.0, 96.0, 18.0


def panels(places: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> tuple[Panel, ...]:
    """Draw each place's buckets as columns, all to one scale."""
    most = max((count for _, buckets in places for _, count in buckets), default=1) or 1
    return tuple(
        Panel(place, _columns(buckets, most), PANEL_WIDTH, PANEL_HEIGHT, PANEL_FLOOR)
        for place, buckets in places
    )


def _columns(buckets: Sequence[tuple[str, int]], most: int) -> tuple[Column, ...]:
    pitch = PANEL_WIDTH / max(1, len(buckets))
    columns = []
    for number, (bucket, count) in enumerate(buckets):
        height = round((PANEL_FLOOR - PANEL_TOP) * count / most, 1)
        columns.append(
            Column(
                bucket,
                count,
                round(number * pitch + 3, 1),
                round(PANEL_FLOOR - height, 1),
                round(pitch - 6, 1),
                height,
            )
        )
    return tuple(columns)


def shortened(text: str, letters: int) -> str:
    """Return a label that fits; the whole of it is in the table below every drawing."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def shares(counts: Sequence[float]) -> list[float]:
    """Return the length of each bar in percent of the longest."""
    most = max(counts, default=0) or 1
    return [round(100 * each / most, 1) for each in counts]
