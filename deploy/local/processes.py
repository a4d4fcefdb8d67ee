"""Processes of a platform: started detached, remembered by pid and start time, stopped without leaving one behind.

A pid alone proves nothing, because the system gives it to somebody else later. A process is ours if its pid is
alive *and* it started when we noted that it did.
"""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from deploy.local.layout import Layout, write_whole

PLATFORM_MARK, INSTANCE_MARK = "LETHE_PLATFORM", "LETHE_PROCESS"
"""Environment variables that every process of a platform carries: the platform's id and its own name."""
INHERITED = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE")
"""All that a process is given of the environment of whoever starts it."""

_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Launch:
    """How to start one process."""

    instance: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    depends_on: str = ""
    """Digest of anything else that, when it changes, asks for a restart."""

    @property
    def fingerprint(self) -> str:
        content = json.dumps([self.argv, sorted(self.environment.items()), self.depends_on])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Running:
    """What `run/<instance>.json` says about a process."""

    instance: str
    pid: int
    started: str
    ports: Mapping[str, int]
    argv: tuple[str, ...]
    fingerprint: str
    stop_signal: int
    since: float
    """Seconds since the epoch."""

    @property
    def alive(self) -> bool:
        # One that had died before it was noted has no start, and lives no more than any other dead one.
        return bool(self.started) and started_at(self.pid) == self.started


def started_at(pid: int) -> str:
    """Return when a living process started, in a form that survives a changed clock; empty if it does not live."""
    try:
        process = psutil.Process(pid)
        if _ended(process):
            return ""
        if not psutil.LINUX:
            return str(process.create_time())
        # Ticks since boot: the wall clock of `create_time` moves when the machine's clock is set.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (psutil.Error, OSError):
        return ""
    return f"{boot}:{fields[19]}"


def _ended(process: psutil.Process) -> bool:
    """Whether nothing of a process runs any more; until its last thread has ended it holds its ports."""
    return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1


def launch(what: Launch, layout: Layout, platform: str) -> Running:
    """Start a process in a session of its own, its output going to its log, and remember it."""
    with layout.log(what.instance).open("ab") as log:
        os.fchmod(log.fileno(), 0o600)
        child = _spawn(what, layout, platform, log.fileno())
    return remember(what, child.pid, layout)


def begin(what: Launch, layout: Layout, platform: str) -> "subprocess.Popen[bytes]":
    """Start a process with this terminal as its output, and remember it; `follow` waits for its end."""
    child = _spawn(what, layout, platform, None)
    remember(what, child.pid, layout)
    return child


def follow(child: "subprocess.Popen[bytes]", what: Launch, layout: Layout) -> int:
    """Pass signals on to a process until it ends; forget it and return its exit code."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: child.send_signal(what.stop_signal))
    exit_code = child.wait()
    running = find(what.instance, layout)
    if running is not None and running.pid == child.pid:
        forget(running, layout)
    return exit_code


def _spawn(what: Launch, layout: Layout, platform: str, output: int | None) -> "subprocess.Popen[bytes]":
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {PLATFORM_MARK: platform, INSTANCE_MARK: what.instance, "TMPDIR": str(layout.tmp)}
    child = subprocess.Popen(
        what.argv,
        env={**environment, **what.environment},
        cwd=layout.root,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        umask=0o077,
    )
    # A caller that lives on must collect its dead children, or they would stay as zombies until it ends.
    for each in _children:
        each.poll()
    _children.append(child)
    return child


def remember(what: Launch, pid: int, layout: Layout) -> Running:
    """Note a process that has just been started."""
    running = Running(
        what.instance, pid, started_at(pid), dict(what.ports), what.argv, what.fingerprint, what.stop_signal,
        time.time(),
    )  # fmt: skip
    write_whole(_record(layout, what.instance), json.dumps(asdict(running), indent=2) + "\n")
    return running


def exit_code(instance: str, layout: Layout) -> int | None:
    """Return the exit code of a dead child of this process, negative for a signal; None for any other process."""
    running = find(instance, layout)
    if running is None or running.alive:
        return None
    child = next((each for each in reversed(_children) if each.pid == running.pid), None)
    try:
        # Its last thread has ended; that may take a moment to reach its parent.
        return child.wait(10) if child else None
    except subprocess.TimeoutExpired:
        return None


def forget(running: Running, layout: Layout) -> None:
    """Remove what is remembered of a process, unless its name has gone to another one."""
    if find(running.instance, layout) == running:
        _record(layout, running.instance).unlink(missing_ok=True)


def _record(layout: Layout, instance: str) -> Path:
    return layout.run / f"{instance}.json"


def find(instance: str, layout: Layout) -> Running | None:
    """Return what is remembered of an instance, dead or alive."""
    try:
        stored = json.loads(_record(layout, instance).read_text("utf-8"))
        return Running(**{**stored, "argv": tuple(stored["argv"])})
    except (FileNotFoundError, json.JSONDecodeError, TypeError, KeyError):
        return None


def find_living(instance: str, layout: Layout) -> Running | None:
    running = find(instance, layout)
    return running if running is not None and running.alive else None


def remembered(layout: Layout) -> tuple[Running, ...]:
    """Return every remembered process, by name."""
    names = sorted(path.stem for path in layout.run.glob("*.json"))
    return tuple(running for name in names if (running := find(name, layout)) is not None)


def stop(running: Iterable[Running], layout: Layout, deadline_seconds: float) -> None:
    """Ask processes to stop, side by side; kill those that have not by the deadline; forget them."""
    processes = list(running)
    for each in processes:
        _signal(each, each.stop_signal)
    until = time.monotonic() + deadline_seconds
    while time.monotonic() < until and any(each.alive for each in processes):
        time.sleep(0.02)
    for each in processes:
        _signal(each, signal.SIGKILL)
        _await_end(each)
        forget(each, layout)


def kill(running: Running, number: int = signal.SIGKILL) -> None:
    """Send a signal to exactly this process, and after SIGKILL wait for its end; what is remembered of it stays."""
    _signal(running, number)
    if number == signal.SIGKILL:
        _await_end(running)


def _signal(running: Running, number: int) -> None:
    if running.alive:
        try:
            os.kill(running.pid, number)
        except ProcessLookupError:
            return


def _await_end(running: Running) -> None:
    while running.alive:
        time.sleep(0.01)
    for child in _children:
        child.poll()


def strays(layout: Layout, platform: str, instance: str = "") -> list[psutil.Process]:
    """Return living processes of this platform, or of one instance of it, remembered or not.

    They carry its marks in their environment. PostgreSQL's children overwrite theirs; they work in their cluster.
    """
    clusters = {str(each): f"postgres-{each.name}" for each in layout.postgres.glob("*") if each.is_dir()}
    names = {each: _instance_of(each, platform, clusters) for each in psutil.process_iter()}
    return [each for each, name in names.items() if name and instance in ("", name)]


def _instance_of(process: psutil.Process, platform: str, clusters: Mapping[str, str]) -> str:
    """Return of which instance of this platform a process is; empty if of none."""
    try:
        if _ended(process):
            return ""
        environment = process.environ()
        if environment.get(PLATFORM_MARK) == platform:
            return environment.get(INSTANCE_MARK, "")
        return clusters.get(process.cwd(), "") if process.name().startswith("postgres") else ""
    except (psutil.Error, OSError):
        return ""


def sweep(layout: Layout, platform: str, instance: str = "") -> int:
    """Kill what is left of a platform, or of an instance that died or was forgotten; return how many those were."""
    left = strays(layout, platform, instance)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=10)
    return len(left)
