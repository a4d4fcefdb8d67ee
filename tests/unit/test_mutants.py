"""The list of mutants is true: each replacement applies to this tree, each killing test exists, the page says so."""

import ast
import functools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.mutants.catalogue import MUTANTS, ROOMS
from tests.faults.mutants.mutant import DoesNotApply, Mutant
from tests.faults.mutants.page import PAGE, page
from tests.faults.mutants.trial import BROKEN, KILLED, SURVIVED, Copy, judge, still_green, try_out
from tests.faults.mutants.verdicts import NEVER, STALE, counted, keep, load, standings

ROOT = Path(__file__).parents[2]


def test_every_mutant_applies_to_the_tree() -> None:
    """A guard that was reworded or moved takes its mutant along: mend the entry in `tests/faults/mutants`."""
    stale = []
    for mutant in MUTANTS:
        try:
            mutant.applied_in(ROOT)
        except (DoesNotApply, SyntaxError, FileNotFoundError) as error:
            stale.append(f"{mutant.name}: {error}")
    assert not stale, "\n".join(stale)


def test_every_killing_test_exists() -> None:
    missing = []
    for killer in sorted({killer for mutant in MUTANTS for killer in mutant.killers}):
        path, _, name = killer.partition("::")
        if name.partition("[")[0].partition("::")[0] not in names_in(path):
            missing.append(killer)
    assert not missing, "\n".join(missing)


@functools.cache
def names_in(path: str) -> frozenset[str]:
    """Return the functions of a test module, and what it assigns (a state machine's test case)."""
    if not (ROOT / path).exists():
        return frozenset()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    assigned = {name.id for each in tree.body if isinstance(each, ast.Assign) for name in each.targets
                if isinstance(name, ast.Name)}  # fmt: skip
    return frozenset(functions | assigned)


def test_every_mutant_has_a_name_of_its_own_a_reason_and_a_killer() -> None:
    assert [name for name, count in Counter(each.name for each in MUTANTS).items() if count > 1] == []
    assert all(each.breaks.endswith(".") and each.killers for each in MUTANTS)
    assert len(MUTANTS) >= 40


def test_the_page_says_what_is_declared() -> None:
    """Write it again with `python -m tests.faults.mutants --page`."""
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(ROOMS)


GUARDED = "def open_door(token):\n    if token != 'right':\n        return False\n    return True\n"
TEST = "from room import open_door\ndef test_nobody_else():\n    assert not open_door('wrong')\n"
LAX = "from room import open_door\ndef test_the_guest():\n    assert open_door('right')\n"
WITHOUT = ("    if token != 'right':", "    if token is None:")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A tree of one guarded door, with a test that misses the guard and one that does not."""
    tree = tmp_path / "tree"
    (tree / "build").mkdir(parents=True)
    for name, text in {"room.py": GUARDED, "test_strict.py": TEST, "test_lax.py": LAX}.items():
        (tree / name).write_text(text, encoding="utf-8")
    (tree / "tests").symlink_to(ROOT / "tests")
    return Copy(tree, tree)


def test_a_mutant_is_killed_survives_or_is_nonsense(copy: Copy) -> None:
    """A trial tells the three apart, and leaves the tree as it was."""
    strict, lax = "test_strict.py::test_nobody_else", "test_lax.py::test_the_guest"
    guard = Mutant("door", "Anybody comes in.", "room.py", *WITHOUT, (strict,))
    blind = Mutant("blind", "Anybody comes in.", "room.py", *WITHOUT, (strict, lax))
    broken = Mutant("broken", "Nothing.", "room.py", "return False", "return flase", (strict,))
    assert still_green([copy], [guard, blind], None) == []
    seen = [try_out(each, copy, None) for each in (guard, blind, broken)]
    assert [each.verdict for each in seen] == [KILLED, SURVIVED, BROKEN]
    assert seen[0].errors == ("AssertionError",) and seen[1].why == lax and "NameError" in seen[2].why
    assert (copy.root / "room.py").read_text(encoding="utf-8") == GUARDED


def test_an_error_outside_of_a_test_kills_nothing() -> None:
    """A module that cannot be collected, or a fixture that fails, says nothing about a guard."""
    mutant = Mutant("door", "Anybody comes in.", "room.py", *WITHOUT, ("t.py::test_a",))
    for phase in ("setup", "collect"):
        ended = [{"test": "t.py::test_a[1]", "phase": phase, "outcome": "failed", "error": "AssertionError"}]
        assert judge(mutant, ended).verdict == BROKEN
    failed = [{"test": "t.py::test_a[1]", "phase": "call", "outcome": "failed", "error": "AssertionError"}]
    assert judge(mutant, failed).verdict == KILLED
    passed = [failed[0] | {"outcome": "passed", "error": ""}, failed[0] | {"phase": "teardown"}]
    assert judge(mutant, passed).verdict == SURVIVED
    assert judge(mutant, []).verdict == SURVIVED


def test_an_error_that_no_entry_names_kills_nothing() -> None:
    """A test that stumbles over a mutant has not said what it misses; some do, where the guard holds an error back."""
    mutant = Mutant("door", "Anybody comes in.", "room.py", *WITHOUT, ("t.py::test_a",))
    failed = {"test": "t.py::test_a", "phase": "call", "outcome": "failed", "error": "KeyError"}
    assert judge(mutant, [failed]).verdict == BROKEN
    assert judge(mutant, [failed | {"error": "Failed"}]).verdict == KILLED
    assert judge(replace(mutant, fails_by=("KeyError",)), [failed]).verdict == KILLED


def test_no_entry_takes_broken_code_for_a_missing_guard() -> None:
    broken = {
        "SyntaxError",
        "IndentationError",
        "ImportError",
        "ModuleNotFoundError",
        "NameError",
        "UnboundLocalError",
    }
    assert [each.name for each in MUTANTS if broken & set(each.fails_by)] == []


def test_verdicts_are_kept_by_name_and_go_stale(copy: Copy, tmp_path: Path) -> None:
    """A later run of a few leaves the others known; what was tried on another text says nothing of this one."""
    door = Mutant("door", "Anybody comes in.", "room.py", *WITHOUT, ("test_strict.py::test_nobody_else",))
    lax = replace(door, name="lax", killers=("test_lax.py::test_the_guest",))
    path, never = tmp_path / "kept" / "mutants.json", replace(door, name="never")
    keep(path, try_out(lax, copy, None))
    keep(path, replace(try_out(door, copy, None), verdict=BROKEN))
    keep(path, try_out(door, copy, None))

    def found() -> list[str]:
        return list(standings([door, lax, never], load(path), copy.root).values())

    assert found() == [KILLED, SURVIVED, NEVER]
    (copy.root / "test_lax.py").write_text(LAX + "\n", encoding="utf-8")
    assert found() == [KILLED, STALE, NEVER]
    (copy.root / "room.py").write_text(GUARDED + "\n", encoding="utf-8")
    assert found() == [STALE, STALE, NEVER]
    said = counted(standings([replace(door, new="pass"), never], load(path), copy.root))
    assert said == "of all 2: 0 killed, 0 survived, 0 broken, 1 stale, 1 never tried"


def test_what_does_not_apply_exactly_once_is_refused() -> None:
    for old in ("nothing of this", "return"):
        with pytest.raises(DoesNotApply):
            Mutant("door", "Anybody comes in.", "room.py", old, "pass", ("t.py::t",)).applied_to(GUARDED)
