"""Holds docs/faults.md to the tree: every test that it names exists, and every fault that is tried stands on it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
OWN = {"page", "oracles", "harness"}
"""Files of this folder that try the page, the judge and the harness, not the platform."""
TRIED = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")} - OWN
NO_FAULTS = {"test_a_seed_draws_the_same_schedule_every_time", "test_every_step_has_its_points"}
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_COMMAND = re.compile(r"`pytest ([^`]+)`")


def names_in(path: Path) -> set[str]:
    """Return the names of a file's tests, also of those that are defined under a condition."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in found if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_test_that_is_named_exists() -> None:
    named = _TEST.findall(PAGE.read_text("utf-8"))
    assert len(named) > 25
    assert not [f"{path}::{name}" for path, name in named if name not in names_in(ROOT / path)]


def test_every_fault_that_is_tried_is_named() -> None:
    named = {name for _, name in _TEST.findall(PAGE.read_text("utf-8"))}
    tried = {name for each in TRIED for name in names_in(Path(__file__).with_name(f"test_{each}.py"))}
    assert tried - named == NO_FAULTS


def test_every_command_that_reproduces_a_bug_still_chooses_a_test() -> None:
    """Its files exist, and what stands after -k is part of the name of one of their tests."""
    commands = _COMMAND.findall(PAGE.read_text("utf-8"))
    assert len(commands) > 20
    for command in commands:
        paths, _, word = command.replace(" --full", "").partition(" -k ")
        files = [found for path in paths.split() for found in _files(ROOT / path)]
        assert files, command
        assert not word or any(word in name for path in files for name in names_in(path)), command


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path] if path.exists() else []
