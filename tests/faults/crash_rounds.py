"""One round: some processes are armed, orders and erasures flow, each dies at its point and is started again."""

import json
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from services.kernel.failpoints import VARIABLE
from tests.faults.crash_drives import DRIVES, Usual
from tests.faults.crash_points import Point
from tests.faults.faulty import Faulty
from tests.faults.history import History
from tests.faults.load import PHASES
from tests.faults.trial import Trial
from tests.fixtures import certificates
from tests.fixtures.stream import Background

ORDERS, PEOPLE = 30, 2
REACH_SECONDS = 90.0
"""How long an armed process may take to come to its point; a slow machine needs a part of it."""
AT_START = frozenset({"join", "take-over", "recall", "kek-begin", "expire"})
"""Steps that are reached before a process is ready."""


@dataclass
class Death:
    """How one point was reached."""

    point: Point
    armed: str
    seconds: float = 0.0
    """From the start of the armed process to its end."""


@dataclass
class Verdict:
    """What became of a round."""

    points: tuple[Point, ...]
    deaths: dict[str, Death] = field(default_factory=dict)
    """By the name of the point."""
    recovered_seconds: float = 0.0
    """From the last death until everything was ready, read and done."""
    failure: BaseException | None = None


class Armed:
    """One instance on its way to its point."""

    def __init__(self, stack: Stack, point: Point, seed: int) -> None:
        self.point = point
        self.reached = False
        self.seconds = 0.0
        self._stack = stack
        self._seed = seed
        self._left = [each for each in (point.reach.first, point.armed(seed)) if each]
        self._arm()

    def look(self) -> bool:
        """Say whether it has died at its last point; start it again when it has died."""
        if self.reached or self._lives():
            return self.reached
        self._must_have_died_here()
        self._left.pop(0)
        if self._left:
            self._arm()
            return False
        self.seconds = time.monotonic() - self._since
        self.reached = True
        self._stack.restart(self.point.instance, wait=False)
        return True

    def _arm(self) -> None:
        log = self._stack.layout.log(self.point.instance)
        self._from = log.stat().st_size if log.exists() else 0
        self._stack.restart(self.point.instance, {VARIABLE: self._left[0]}, wait=False)
        self._since = time.monotonic()

    def _lives(self) -> bool:
        try:
            self._stack.pid(self.point.instance)
        except PlatformUnavailable:
            return False
        return True

    def _must_have_died_here(self) -> None:
        """By SIGKILL, its last word being which point it had reached."""
        with self._stack.layout.log(self.point.instance).open("rb") as log:
            log.seek(self._from)
            lines = [json.loads(line) for line in log if line.startswith(b"{")]
        code = self._stack.exit_code(self.point.instance)
        last = lines[-1] if lines else {}
        said = (code, last.get("event"), last.get("code"))
        assert said == (-signal.SIGKILL, "failpoint reached", self._left[0]), f"{self.point.name}: {said}"


class Round:
    """Tries some points together on one platform."""

    def __init__(self, faulty: Faulty, history: History, points: Sequence[Point], seed: int) -> None:
        self._faulty = faulty
        self._history = history
        self._points = tuple(points)
        self._seed = seed
        self._drive: Usual = DRIVES[next((p.reach.drive for p in points if p.reach.drive), "")](faulty)

    def run(self) -> Verdict:
        """Do it, judge it by all oracles, and return what was seen."""
        verdict = Verdict(self._points)
        try:
            self._run(verdict)
        except BaseException as error:
            verdict.failure = error
            logs = self._faulty.stack.layout.logs
            shutil.copytree(logs, self._history.folder / "logs", dirs_exist_ok=True)
            self._leave_nobody_armed()
        return verdict

    def _run(self, verdict: Verdict) -> None:
        self._drive.prepare()
        with self._trial() as trial:
            names = " ".join(point.name for point in self._points)
            with trial.fault("kill -9 of itself", names):
                self._until_all_have_died(trial, verdict)
            trial.judge()
            verdict.recovered_seconds = next(
                line["seconds"] for line in self._history.lines() if line["kind"] == "recovered"
            )
            self._drive.check()
        self._certificates_verify()

    @contextmanager
    def _trial(self) -> Iterator[Trial]:
        trial = Trial(self._faulty, self._history, self._seed, ORDERS, PEOPLE).begin()
        try:
            yield trial
        finally:
            trial.end()

    def _until_all_have_died(self, trial: Trial, verdict: Verdict) -> None:
        stack = self._faulty.stack
        armed = [Armed(stack, point, self._seed) for point in self._points]
        for each in armed:
            self._await_up(each)
        for _ in range(PHASES):
            trial.load()
        provoking = Background(self._drive.provoke)
        until = time.monotonic() + REACH_SECONDS
        while missing := [each.point.name for each in armed if not each.look()]:
            assert time.monotonic() < until, f"never reached: {missing}"
            time.sleep(0.05)
        provoking.join(REACH_SECONDS)
        for each in armed:
            death = Death(each.point, each.point.armed(self._seed), each.seconds)
            verdict.deaths[each.point.name] = death
            self._history.tell(
                "died", point=each.point.name, armed=death.armed, seconds=round(each.seconds, 2)
            )

    def _await_up(self, armed: Armed) -> None:
        """Wait until an armed process works, or has come to its point already."""
        until = time.monotonic() + REACH_SECONDS
        while not armed.look() and not self._faulty.ready(armed.point.instance):
            if str(armed.point.reach.step) in AT_START and not armed.point.reach.first:
                return
            assert time.monotonic() < until, f"{armed.point.name} is not ready"
            time.sleep(0.1)

    def _certificates_verify(self) -> None:
        """Whoever was forgotten holds a certificate that anybody can verify offline."""
        for line in self._history.lines():
            if line["kind"] == "wish":
                faulty = self._faulty
                certificates.fetch(faulty.stack, faulty.shop, line["request"], faulty.folder)
                return

    def _leave_nobody_armed(self) -> None:
        for point in self._points:
            self._faulty.stack.restart(point.instance, wait=False)


def table(verdicts: Sequence[Verdict]) -> str:
    """Return what was seen, a line for each point."""
    lines = ["point                              armed                  died after  round at rest after  "]
    for verdict in verdicts:
        for point in verdict.points:
            death = verdict.deaths.get(point.name)
            if death is not None:
                said = f"{death.armed:<22} {death.seconds:>8.1f} s  {verdict.recovered_seconds:>17.1f} s"
            else:
                said = "not reached"
            failed = "  FAILED" if verdict.failure else ""
            lines.append(f"{point.name:<34} {said}{failed}")
    return "\n".join(lines)
