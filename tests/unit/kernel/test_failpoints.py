"""An armed process dies at its point and nowhere else; an unknown point is refused."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel import failpoints
from services.kernel.errors import ConfigurationError
from services.kernel.failpoints import Step, after, before, step

ROOT = Path(failpoints.__file__).parents[2]

_DIES = """
import os
from services.kernel import failpoints
from services.kernel.failpoints import Step, after, before, step
failpoints.arm(os.environ, lambda: print("reached", flush=True))
for number in range(1, 6):
    print(number, flush=True)
    with step(Step.STORE):
        print("inside", flush=True)
    before(Step.COMMIT)
    after(Step.COMMIT)
"""


@pytest.mark.parametrize(
    ("armed", "said"),
    [
        ("store.before", ["1", "reached"]),
        ("store.after", ["1", "inside", "reached"]),
        ("store.before:3", ["1", "inside", "2", "inside", "3", "reached"]),
        ("commit.before:2", ["1", "inside", "2", "inside", "reached"]),
        ("commit.after:1", ["1", "inside", "reached"]),
    ],
)
def test_an_armed_process_kills_itself_at_its_point(armed: str, said: list[str]) -> None:
    """The Nth time, counted from one; nothing is cleaned up on the way, as with `kill -9`."""
    ended = subprocess.run(
        [sys.executable, "-c", _DIES], env={failpoints.VARIABLE: armed}, capture_output=True, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, said), ended.stderr


_PROCESS = """
from types import SimpleNamespace
from services.kernel.worker.process import main
async def run(settings):
    print("running", flush=True)
main(lambda: SimpleNamespace(instance="some-1"), run)
"""


def _process(armed: str) -> tuple[int, list[dict[str, object]], bool]:
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS], env={failpoints.VARIABLE: armed}, capture_output=True, text=True,
        cwd=ROOT,
    )  # fmt: skip
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    return ended.returncode, lines, "running" in ended.stdout


@pytest.mark.parametrize(
    "unknown",
    [
        "stores.before",
        "store",
        "store.during",
        "store.before:0",
        "store.before:-1",
        "STORE.before",
        "store.before ",
    ],
)
def test_a_process_refuses_a_point_that_does_not_exist(unknown: str) -> None:
    """A misspelt point would let a test pass that has killed nobody."""
    code, lines, ran = _process(unknown)
    assert (code, ran) == (78, False)
    assert (lines[-1]["event"], lines[-1]["code"]) == ("refused", "failpoint-unknown")


def test_an_armed_process_says_so() -> None:
    """Nobody runs an armed worker without being told."""
    code, lines, ran = _process("store.before:7")
    assert (code, ran) == (0, True)
    assert [(line["event"], line["code"], line["level"]) for line in lines] == [
        ("failpoint armed", "store.before:7", "warning")
    ]


def test_nothing_is_armed_without_the_variable() -> None:
    """The usual process says nothing and dies nowhere."""
    assert _process("") == (0, [], True)


@pytest.fixture
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm({}, lambda: None)


@pytest.mark.usefixtures("_disarmed")
def test_a_failing_step_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step means that its effect is there."""
    died = []
    monkeypatch.setattr(failpoints, "_die", lambda: died.append(1))
    failpoints.arm({failpoints.VARIABLE: "store.after"}, lambda: None)
    with pytest.raises(ConfigurationError), step(Step.STORE):
        raise ConfigurationError("x")
    before(Step.STORE)
    with step(Step.LOAD):
        after(Step.LOAD)
    assert died == []
    with step(Step.STORE):
        pass
    assert died == [1]
