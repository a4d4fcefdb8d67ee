"""A platform's processes: known by pid and start time, found by their marks, never mixed up with others."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from deploy.local import infrastructure, ports, processes
from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout
from deploy.local.processes import Launch

SLEEP = Launch("sleeper-1", (sys.executable, "-c", "import time; time.sleep(60)"))
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"

HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""Its first thread ends, another one goes on."""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout.at(tmp_path / "state")
    layout.create()
    yield layout
    processes.sweep(layout, "here")


def test_a_process_is_remembered_until_it_is_stopped(layout: Layout):
    """Detached, in a session of its own, its record gone when it is."""
    running = processes.launch(SLEEP, layout, "here")
    assert processes.find_living("sleeper-1", layout) == running
    assert os.getsid(running.pid) == running.pid
    processes.stop([running], layout, 5)
    assert not running.alive and processes.find("sleeper-1", layout) is None


def test_a_process_that_will_not_stop_is_killed_at_the_deadline(layout: Layout):
    """Nobody is left behind, whatever it does with SIGTERM."""
    running = processes.launch(Launch("stubborn-1", (sys.executable, "-c", STUBBORN)), layout, "here")
    while not layout.log("stubborn-1").read_text():
        time.sleep(0.01)
    processes.stop([running], layout, 0.2)
    assert not running.alive


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the first thread cannot end alone")
def test_a_process_lives_until_its_last_thread_has_ended(layout: Layout):
    """A killed broker dies thread by thread: as long as its port is held, a new one would get another port."""
    running = processes.launch(Launch("headless-1", (sys.executable, "-c", HEADLESS)), layout, "here")
    while psutil.Process(running.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert running.alive
    processes.kill(running)
    assert not running.alive


def test_a_process_that_died_before_it_was_noted_is_dead(layout: Layout):
    """Otherwise everybody who waits for its end would wait for ever."""
    running = processes.launch(SLEEP, layout, "here")
    processes.kill(running)
    assert not replace(running, started=processes.started_at(running.pid)).alive


def test_how_a_child_ended_is_known(layout: Layout):
    """Whoever started a process can tell a kill from an exit; of others nothing is said."""
    running = processes.launch(SLEEP, layout, "here")
    assert processes.exit_code("sleeper-1", layout) is None
    processes.kill(running)
    processes.launch(replace(SLEEP, instance="sleeper-2"), layout, "here")
    assert processes.exit_code("sleeper-1", layout) == -signal.SIGKILL
    assert processes.exit_code("sleeper-2", layout) is None
    assert processes.exit_code("sleeper-3", layout) is None


def test_the_one_that_ended_is_named_and_not_the_one_that_waits_for_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
):
    """Who starts a platform hears the cause, at once, and not that somebody else is late."""
    monkeypatch.setattr(infrastructure, "START_SECONDS", 5)
    refuses = Launch("refuses-1", (sys.executable, "-c", "print('kek-missing')"))
    started = [processes.launch(each, layout, "here") for each in (SLEEP, refuses)]
    with pytest.raises(PlatformUnavailable, match="refuses-1 ended while starting: kek-missing"):
        infrastructure.await_ready([(each, lambda: False) for each in started], layout)


def test_who_takes_too_long_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    """Those that serve are no longer asked."""
    monkeypatch.setattr(infrastructure, "START_SECONDS", 0.2)
    late = processes.launch(SLEEP, layout, "here")
    serves = replace(late, instance="serves-1")
    with pytest.raises(PlatformUnavailable, match=r"sleeper-1 is not ready after 0\.2 s"):
        infrastructure.await_ready([(serves, lambda: True), (late, lambda: False)], layout)


def test_a_pid_that_went_to_somebody_else_is_not_touched(layout: Layout):
    """Stopping a dead process must not hit whoever has its pid now."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        dead = processes.remember(SLEEP, stranger.pid, layout)
        dead = replace(dead, started="before")
        (layout.run / "sleeper-1.json").write_text(json.dumps(asdict(dead)))
        assert processes.find_living("sleeper-1", layout) is None
        processes.stop(processes.remembered(layout), layout, 1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_on_no_record_is_found_by_its_marks(layout: Layout):
    """A starter that was killed between starting and noting leaves one."""
    running = processes.launch(SLEEP, layout, "here")
    other = processes.launch(replace(SLEEP, instance="other-1"), layout, "elsewhere")
    for record in layout.run.glob("*.json"):
        record.unlink()
    assert [each.pid for each in processes.strays(layout, "here")] == [running.pid]
    assert processes.sweep(layout, "here", "sleeper-2") == 0
    assert processes.sweep(layout, "here", "sleeper-1") == 1
    assert not running.alive and other.alive
    processes.kill(other)


def test_a_half_written_record_counts_as_none(layout: Layout):
    """A record is written whole; what is not whole is not ours."""
    (layout.run / "sleeper-1.json").write_text('{"pid": 1')
    assert processes.find("sleeper-1", layout) is None and processes.remembered(layout) == ()


def test_a_foreground_process_passes_on_signals_and_its_exit_code(layout: Layout):
    """`lethe run` ends as its worker ends, and its record with it."""
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); time.sleep(60)"
    starter = (
        "import sys; from deploy.local import processes as p; from deploy.local.layout import Layout\n"
        f"what = p.Launch('fg-1', (sys.executable, '-c', {code!r})); layout = Layout.at(sys.argv[1])\n"
        "sys.exit(p.follow(p.begin(what, layout, 'here'), what, layout))"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter, str(layout.root)])
    while processes.find_living("fg-1", layout) is None:
        time.sleep(0.02)
    time.sleep(0.3)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(10) == 7
    assert processes.find("fg-1", layout) is None


def test_a_kept_port_is_kept_while_it_is_free():
    """Only a port that somebody else has taken is chosen again."""
    first = ports.choose(["one", "two"], {})
    assert len(set(first.values())) == 2 and ports.choose(["one", "two"], first) == first
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, first["one"]))
        taken.listen()
        again = ports.choose(["one", "two"], first)
    assert again["one"] not in first.values() and again["two"] == first["two"]
