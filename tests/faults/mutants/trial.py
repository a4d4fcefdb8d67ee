"""Takes one guard away in a copy of the tree and runs the tests that should notice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.mutants.mutant import DoesNotApply, Mutant
from tests.faults.mutants.witness import TOLD_IN

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".lethe", ".hypothesis", "build", "__pycache__", "*_cache", "*.egg-info"
)
MOST_SECONDS = 240
ASSERTED = frozenset({"AssertionError", "Failed"})
"""What a test says itself, the second by `pytest.raises` and `pytest.fail`. Another error may only show that the mutant
is nonsense, unless its entry names it."""
KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant."""

    mutant: str
    verdict: str
    why: str = ""
    """Of a survivor the tests that stayed green; of a broken one what went wrong."""
    errors: tuple[str, ...] = ()
    """By which kinds of error the killing tests failed."""
    seconds: float = 0.0
    digest: str = ""
    """Of what it speaks of: `Mutant.digest_in`."""


@dataclass
class Copy:
    """A copy of the tree; files are changed and put back in it, never in the original."""

    root: Path
    original: Path
    _writes: int = field(default=0)

    @classmethod
    def of(cls, original: Path, folder: Path) -> "Copy":
        """Copy what the tests need; what was once downloaded is linked."""
        shutil.copytree(original, folder, ignore=LEFT_OUT, symlinks=True)
        (folder / "build").mkdir()
        if (original / ".cache").exists():
            (folder / ".cache").symlink_to(original / ".cache")
        return cls(folder, original)

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """Take the guard away for the length of the block."""
        whole = (self.root / mutant.file).read_text(encoding="utf-8")
        self._write(mutant.file, mutant.applied_to(whole))
        try:
            yield
        finally:
            self._write(mutant.file, whole)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        # Compiled files are told apart by size and whole seconds: two versions must never share both.
        self._writes += 1
        moment = int(time.time()) + 10 * self._writes
        os.utime(path, (moment, moment))

    def run(
        self, tests: Iterable[str], state: Path | None, seconds: int = MOST_SECONDS
    ) -> list[dict[str, str]]:
        """Run these tests here; return how each ended. Raises `TimeoutError`, or `RuntimeError` without a word."""
        told = self.root / "build" / "witness.json"
        told.unlink(missing_ok=True)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("LETHE_", "PYTEST_"))
        }
        # Before the editable install, whose entry comes last in the path.
        environment |= {"PYTHONPATH": str(self.root), TOLD_IN: str(told)}
        if state is not None:
            environment["LETHE_TEST_STATE"] = str(state)
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "tests.faults.mutants.witness",
        ]
        process = subprocess.Popen(
            [*argv, *dict.fromkeys(tests)], cwd=self.root, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise TimeoutError(f"not over after {seconds} s") from None
        if not told.exists():
            raise RuntimeError(said.strip()[-300:])
        found: list[dict[str, str]] = json.loads(told.read_text(encoding="utf-8"))
        return found


def try_out(mutant: Mutant, copy: Copy, state: Path | None) -> Verdict:
    """Return what the killing tests say of this mutant."""
    began, digest = time.monotonic(), mutant.digest_in(copy.root)
    try:
        with copy.without(mutant):
            seen = copy.run(mutant.killers, None if mutant.own_platform else state)
    except (TimeoutError, RuntimeError, DoesNotApply) as error:
        verdict = Verdict(mutant.name, BROKEN, str(error))
    else:
        verdict = judge(mutant, seen)
    return replace(verdict, seconds=time.monotonic() - began, digest=digest)


def judge(mutant: Mutant, seen: list[dict[str, str]]) -> Verdict:
    """Return killed only if every killing test failed in itself, by what it asserts or by what the entry names."""
    # What fails in a clean-up may be the guard's own doing; it shows nothing that the call has not.
    seen = [each for each in seen if each["phase"] != "teardown"]
    shown = {"", *ASSERTED, *mutant.fails_by}
    odd = [each for each in seen if each["phase"] != "call" or each["error"] not in shown]
    if odd:
        said = f"{odd[0]['test']}: {odd[0]['outcome']} in {odd[0]['phase']} {odd[0]['error']}"
        return Verdict(mutant.name, BROKEN, said)
    green = [killer for killer in mutant.killers if not any(_noticed(killer, each) for each in seen)]
    errors = tuple(sorted({each["error"] for each in seen if each["outcome"] == "failed"}))
    if green:
        return Verdict(mutant.name, SURVIVED, ", ".join(green), errors)
    return Verdict(mutant.name, KILLED, "", errors)


def still_green(copies: Sequence[Copy], mutants: Iterable[Mutant], state: Path | None) -> list[str]:
    """Return the killing tests that fail although nothing was taken away: they would show nothing.

    The copies share them, file by file: what tests of one file set up in common is set up once.
    """
    killers = sorted({killer for mutant in mutants for killer in mutant.killers})
    files = sorted({killer.partition("::")[0] for killer in killers})
    shares: list[list[str]] = [[] for _ in copies]
    for killer in killers:
        shares[files.index(killer.partition("::")[0]) % len(copies)].append(killer)

    def seen(copy: Copy, share: list[str]) -> list[dict[str, str]]:
        return copy.run(share, state, seconds=20 * MOST_SECONDS) if share else []

    with ThreadPoolExecutor(len(copies)) as pool:
        ended = [each for found in pool.map(seen, copies, shares) for each in found]
    failed = [f"{each['test']} {each['error']}" for each in ended if each["outcome"] == "failed"]
    missing = [killer for killer in killers if not any(_of(killer, each["test"]) for each in ended)]
    return failed + [f"{killer} was not run" for killer in missing]


def _noticed(killer: str, ended: dict[str, str]) -> bool:
    return ended["outcome"] == "failed" and _of(killer, ended["test"])


def _of(killer: str, test: str) -> bool:
    return test == killer or test.startswith(f"{killer}[")
