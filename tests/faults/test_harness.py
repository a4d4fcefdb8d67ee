"""The harness itself: whoever ends by himself is seen, and the clock of recovery starts before mending does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.local import stack as platforms
from deploy.local.layout import Layout
from deploy.local.processes import Launch, Running, find, kill, launch
from tests.faults.faulty import PROCESSES, Faulty
from tests.faults.history import History, of
from tests.faults.oracles import o6_recovers
from tests.faults.trial import Trial
from tests.fixtures.evidence import await_

LASTS, FAILS = ("sleep", "60"), ("sh", "-c", "sleep 0.3; exit 3")


def begun(name: str, layout: Layout, argv: tuple[str, ...] = LASTS) -> Running:
    """Start something under a process's name."""
    return launch(Launch(name, argv), layout, "no platform")


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """Processes of which none does anything; to start the platform is to start those that are not there."""
    layout = Layout.at(tmp_path)
    layout.create()

    def start(*_: Any, **__: Any) -> None:
        for name in PROCESSES:
            if not found.alive(name):
                begun(name, layout)

    monkeypatch.setattr(platforms, "start", start)
    found = Faulty(tmp_path, tmp_path)
    start()
    yield found
    for name in PROCESSES:
        if running := find(name, layout):
            kill(running)


@pytest.fixture
def trial(faulty: Faulty, tmp_path: Path) -> Trial:
    carrier = SimpleNamespace(name="swift", fields=["name"])
    platform = cast(Faulty, SimpleNamespace(shop=None, carriers=[carrier]))
    faulty.witness = Trial(platform, History(tmp_path / "history"), seed=1, orders=2, people=0)
    return faulty.witness


def ended(faulty: Faulty, name: str, argv: tuple[str, ...] = FAILS) -> None:
    """Let a process end, or be replaced by one that does."""
    layout = Layout.at(faulty.state)
    if running := find(name, layout):
        kill(running)
    begun(name, layout, argv)
    await_("it ends", lambda: not faulty.alive(name))


def complaints(trial: Trial) -> list[str]:
    return [each for each in o6_recovers(trial.history.lines(), []) if "by itself" in each]


def test_who_is_no_target_and_has_ended_is_told_with_its_exit_code(faulty: Faulty, trial: Trial) -> None:
    ended(faulty, "orders-1")
    ended(faulty, "carriers-1")
    faulty.repair("orders-1")
    assert complaints(trial) == ["carriers-1 has ended by itself, with 3"]
    assert [each["expected"] for each in of(trial.history.lines(), "gone")] == [True, False]
    assert all(faulty.alive(name) for name in PROCESSES)


def test_who_ends_while_others_are_started_is_told(
    faulty: Faulty, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies as Kafka comes back would be started again before anybody looks."""
    start = platforms.start

    def starts_and_kills(*_: Any, **__: Any) -> None:
        ended(faulty, "erasure-1")
        start(faulty.state)

    monkeypatch.setattr(platforms, "start", starts_and_kills)
    faulty.repair("kafka")
    assert complaints(trial) == ["erasure-1 has ended by itself, with None"]


def test_nobody_is_told_of_when_all_live(faulty: Faulty, trial: Trial) -> None:
    faulty.repair()
    assert complaints(trial) == []


@contextmanager
def mended_slowly(faulty: Faulty, seconds: float) -> Iterator[None]:
    yield
    faulty.repair()
    time.sleep(seconds)


def test_recovery_is_counted_from_before_mending(faulty: Faulty, trial: Trial) -> None:
    """The harness and the verifier count for themselves."""
    with trial.fault("kill -9", "orders-1"), mended_slowly(faulty, 0.3):
        pass
    assert trial.recovering_seconds >= 0.3
    trial.history.tell("recovered", seconds=0.0, within=0.2)
    assert any("recovery took" in each for each in o6_recovers(trial.history.lines(), []))


def test_mending_after_a_fault_sets_no_clock_back(faulty: Faulty, trial: Trial) -> None:
    """What ends with its block is over then, whatever is put in order afterwards."""
    with mended_slowly(faulty, 0.0):
        with trial.fault("reset", "orders-1"):
            pass
        time.sleep(0.3)
    assert trial.recovering_seconds >= 0.3
