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
from tests.faults.crash_drives import DRIVES, Drive
from tests.faults.crash_points import Point
from tests.faults.faulty import Faulty
from tests.faults.history import History
from tests.faults.trial import Trial
from tests.fixtures import certificates
from tests.fixtures.stream import Background

ORDERS, PEOPLE, PORTIONS = 36, 5, 6
"""The load of a round. Its last two portions wait for those who are on their way to their last point."""
REACH_SECONDS = 90.0
"""How long an armed process may take to come to its point; a slow machine needs a part of it."""
PORTION_SECONDS = 4.0
"""How long a portion of the load has for itself."""
AT_START = frozenset({"join", "take-over", "recall", "expire"})
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
    failure: Exception | None = None


class Armed:
    """One instance on its way to its points, one after the other."""

    def __init__(self, stack: Stack, points: Sequence[Point], seed: int) -> None:
        self.instance = points[0].instance
        self.deaths: list[Death] = []
        self._stack = stack
        self._left = [
            Death(point, spec) for point in points for spec in (point.reach.first, point.armed(seed)) if spec
        ]
        self._arm()

    @property
    def done(self) -> bool:
        """Whether it has died at its last point."""
        return not self._left

    @property
    def last(self) -> bool:
        """Whether it has one more point to die at, or none."""
        return len(self._left) <= 1

    @property
    def at_start(self) -> bool:
        """Whether it is to die before it works."""
        return bool(self._left) and self._left[0].armed.partition(".")[0] in AT_START

    @property
    def waits_for(self) -> str:
        return self._left[0].armed if self._left else ""

    def look(self) -> bool:
        """When it has died, start it again, for its next point if there is one; say whether it has died just now."""
        if self.done or self._lives():
            return False
        self._must_have_died_here()
        death = self._left.pop(0)
        death.seconds = time.monotonic() - self._since
        self.deaths.append(death)
        if self._left:
            self._arm()
        else:
            self._stack.restart(self.instance, wait=False)
        return True

    def _arm(self) -> None:
        log = self._stack.layout.log(self.instance)
        self._from = log.stat().st_size if log.exists() else 0
        self._stack.restart(self.instance, {VARIABLE: self._left[0].armed}, wait=False)
        self._since = time.monotonic()

    def _lives(self) -> bool:
        try:
            self._stack.pid(self.instance)
        except PlatformUnavailable:
            return False
        return True

    def _must_have_died_here(self) -> None:
        """By SIGKILL, its last word being which point it had reached."""
        with self._stack.layout.log(self.instance).open("rb") as log:
            log.seek(self._from)
            lines = [json.loads(line) for line in log if line.startswith(b"{")]
        code = self._stack.exit_code(self.instance)
        last = lines[-1] if lines else {}
        said = (code, last.get("event"), last.get("code"))
        wanted = (-signal.SIGKILL, "failpoint reached", self.waits_for)
        assert said == wanted, f"{self.instance} ended otherwise than at {self.waits_for}: {said}"


class Round:
    """Tries some points together on one platform."""

    def __init__(self, faulty: Faulty, history: History, points: Sequence[Point], seed: int) -> None:
        self._faulty = faulty
        self._history = history
        self._points = tuple(points)
        self._seed = seed
        self._drive: Drive = DRIVES[next((p.reach.drive for p in points if p.reach.drive), "")](faulty)

    def run(self) -> Verdict:
        """Do it, judge it by all oracles, and return what was seen."""
        verdict = Verdict(self._points)
        try:
            self._run(verdict)
        except Exception as error:
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
            self._faulty.await_ready()
            trial.judge()
            verdict.recovered_seconds = next(
                line["seconds"] for line in self._history.lines() if line["kind"] == "recovered"
            )
            self._drive.check()
        self._certificates_verify()

    @contextmanager
    def _trial(self) -> Iterator[Trial]:
        trial = Trial(self._faulty, self._history, self._seed, ORDERS, PEOPLE, PORTIONS).begin()
        try:
            yield trial
        finally:
            trial.end()

    def _until_all_have_died(self, trial: Trial, verdict: Verdict) -> None:
        """Let the load out portion by portion, so that there is some left for whoever dies a second time."""
        armed = self._arm_all()
        trial.load()
        sent = 1
        provoking = [Background(self._drive.provoke)]
        until = time.monotonic() + REACH_SECONDS
        next_at = time.monotonic() + PORTION_SECONDS
        while waiting := [each for each in armed if not each.done]:
            missing = [f"{each.instance} {each.waits_for}" for each in waiting]
            assert time.monotonic() < until, f"never reached: {missing}"
            died = [each.instance for each in waiting if each.look()]
            if died:
                trial.over()
                until = time.monotonic() + REACH_SECONDS
            if "keyring-1" in died:
                provoking.append(Background(self._drive.again))
            if time.monotonic() > next_at and (
                sent < PORTIONS - 2 or all(self._on_its_last_way(each) for each in waiting)
            ):
                trial.load()
                sent, next_at = sent + 1, time.monotonic() + PORTION_SECONDS
            time.sleep(0.05)
        for attempt in provoking:
            attempt.join(REACH_SECONDS)
        verdict.deaths = {death.point.name: death for each in armed for death in each.deaths}
        for name, death in verdict.deaths.items():
            self._history.tell("died", point=name, armed=death.armed, seconds=round(death.seconds, 2))

    def _on_its_last_way(self, armed: Armed) -> bool:
        return armed.done or (armed.last and self._faulty.ready(armed.instance))

    def _arm_all(self) -> list[Armed]:
        """Arm every process for its first point; wait until each works, unless it is to die before that."""
        queues: dict[str, list[Point]] = {}
        for point in self._points:
            queues.setdefault(point.instance, []).append(point)
        armed = [Armed(self._faulty.stack, points, self._seed) for points in queues.values()]
        until = time.monotonic() + REACH_SECONDS
        for each in armed:
            while not (each.at_start or each.look() or self._faulty.ready(each.instance)):
                assert time.monotonic() < until, f"{each.instance} is not ready"
                time.sleep(0.1)
        return armed

    def _certificates_verify(self) -> None:
        """Whoever was forgotten holds a certificate that anybody can verify offline."""
        for line in self._history.lines():
            if line["kind"] == "wish":
                faulty = self._faulty
                certificates.fetch(faulty.stack, faulty.shop, line["request"], faulty.folder)
                return

    def _leave_nobody_armed(self) -> None:
        for instance in {point.instance for point in self._points}:
            self._faulty.stack.restart(instance, wait=False)


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
