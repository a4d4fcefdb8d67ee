"""From results to `build/bench.json`, and from there to the tables in the document."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.benchmarks.result import Result, table

FIGURES = Path("build/bench.json")
DOCUMENT = Path("docs/benchmarks.md")
APART = ("losses",)
"""Not timed, and the same every time: only when asked for, and in no sum of times."""
_LIBRARIES = ("aiokafka", "asyncpg", "orjson", "pydantic", "uvloop")


def keep(name: str, result: Result, rounds: int, took_seconds: float) -> None:
    """Merge one module's result into the file; what other modules measured stays."""
    kept = load()
    ratios = {each: round(median(values), 3) for each, values in result.ratios.items()}
    spread = {each: [round(min(values), 3), round(max(values), 3)] for each, values in result.ratios.items()}
    merged = {
        "machine": machine(),
        "ratios": kept.get("ratios", {}) | ratios,
        "spread": kept.get("spread", {}) | spread,
        "goals": kept.get("goals", {}) | dict(result.goals),
        "figures": kept.get("figures", {}) | {name: result.figures},
        "tables": kept.get("tables", {}) | {name: result.table},
        "runs": kept.get("runs", {}) | {name: _run(rounds, took_seconds)},
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(merged, indent=1, default=str) + "\n")


def begin_anew() -> None:
    """Forget what earlier runs measured, but what is apart: a ratio that is not measured any more must not stay."""
    kept = load()
    parts = {
        part: {name: kept.get(part, {}).get(name) for name in APART} for part in ("figures", "tables", "runs")
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(
        json.dumps({part: {n: v for n, v in each.items() if v} for part, each in parts.items()})
    )


def load() -> dict[str, Any]:
    """Return what was kept, empty before the first run."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def render() -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` in the document by what is kept."""
    kept = load()
    parts = {
        "machine": _machine_line(kept),
        "ratios": ratio_table(kept["ratios"], kept["spread"], kept["goals"]),
        **kept["tables"],
    }
    text = DOCUMENT.read_text("utf-8")
    for name, part in parts.items():
        between = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        text = between.sub(lambda found, part=part: f"{found[1]}{part}\n{found[2]}", text)
    DOCUMENT.write_text(text, "utf-8")


def ratio_table(
    ratios: Mapping[str, float], spread: Mapping[str, Sequence[float]], goals: Mapping[str, float]
) -> str:
    """Return the table of all ratios beside their goals."""
    rows = [
        (name, f"{ratio:.2f}", "{:.2f}-{:.2f}".format(*spread[name]), _goal(ratio, goals.get(name)))
        for name, ratio in ratios.items()
    ]
    return table(("ratio", "median", "spread", "goal"), rows)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _run(rounds: int, took_seconds: float) -> dict[str, Any]:
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "rounds": rounds,
        "took_seconds": round(took_seconds),
        "load_at_its_end": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return found[1] if found else platform.processor()


def _machine_line(kept: Mapping[str, Any]) -> str:
    said = kept["machine"]
    libraries = ", ".join(f"{name} {said[name]}" for name in _LIBRARIES)
    dates = sorted({run["on"] for run in kept["runs"].values()})
    took = {name: run["took_seconds"] for name, run in kept["runs"].items() if name not in APART}
    parts = ", ".join(f"{name} {seconds} s" for name, seconds in took.items())
    return (
        f"{said['cores']} cores ({said['processor']}), {said['memory_gib']} GiB, Python {said['python']}, {libraries}; "
        f"{' and '.join(dates)}, {sum(took.values()) // 60} min {sum(took.values()) % 60} s in all: {parts}."
    )


def _goal(ratio: float, goal: float | None) -> str:
    if goal is None:
        return "–"
    return f"≥ {goal:g} {'met' if ratio >= goal else '**missed**'}"
