"""A platform that may be ill-treated: a shop and two carriers that use it, and what an operator does to mend it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from deploy.local import processes
from deploy.local import stack as platforms
from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout
from deploy.local.stack import Stack
from tests.faults.rules import INSTANCES
from tests.fixtures import search
from tests.fixtures.canaries import MARKS
from tests.fixtures.carrier import FIELDS, Carrier
from tests.fixtures.counted import counted
from tests.fixtures.evidence import WORKERS, await_
from tests.fixtures.platform import temporary_state
from tests.fixtures.shop import Shop

SETTINGS: Mapping[str, Mapping[str, str]] = {"orders": {"returns_window_days": "0"}}
FEW_FIELDS = ("name", "address_lines", "city", "postal_code", "country", "delivery_note")
SESSION_SECONDS = 8
"""After so long without a sign of life a worker's lanes go to another one, on the local platform."""
PROCESSES = INSTANCES
READY_SECONDS = 180.0


class Witness(Protocol):
    """Who wants to know when mending begins, and what had ended by then."""

    def over(self) -> None:
        """The last that was done to the platform is done: what follows is recovery."""

    def gone(self, instance: str, code: int | None, *, expected: bool) -> None:
        """A process was found to have ended; whether that was to be expected of what was done."""


@dataclass
class Faulty:
    """One running platform, a shop, and two carriers of which one gets less than the other."""

    state: Path
    folder: Path
    """Where shop and carriers keep their own files."""
    shop: Shop = field(init=False)
    carriers: list[Carrier] = field(init=False)
    witness: Witness | None = field(default=None, init=False)
    """The trial that is under way."""

    @property
    def stack(self) -> Stack:
        """The platform as it is now; raises `PlatformUnavailable` while Kafka or PostgreSQL is down."""
        return platforms.attach(self.state)

    def open(self, only: Iterable[str] | None = None) -> "Faulty":
        """Start the way of an order, or only these workers, let the shop in, sign the carriers."""
        stack = platforms.start(self.state, only=only or WORKERS, settings=SETTINGS)
        self.shop = Shop.open(stack, self.folder)
        self.carriers = [
            Carrier.sign(stack, self.folder, "swift", fields=(*FIELDS, "email")).start(),
            Carrier.sign(stack, self.folder, "snail", fields=FEW_FIELDS).start(),
        ]
        return self

    def traces(self) -> list[str]:
        """Return where planted texts, or dumps of memory, lie in any file of the platform."""
        dumps = ("core.", "hs_err_pid")
        files = (str(path) for path in self.state.rglob("*") if path.name.startswith(dumps))
        return [*map(str, search.found(self.state, MARKS)), *files]

    def close(self) -> None:
        """Let the carriers go; raise what went wrong with them."""
        for carrier in self.carriers:
            carrier.stop()

    def repair(self, *ended: str) -> Stack:
        """Do what an operator, or a supervisor, does: start what does not run.

        `ended` are those that the fault itself has ended, or that are to be replaced. Whoever else is gone, or goes
        before everything is ready, has ended by itself: the witness is told.
        """
        if self.witness is not None:
            self.witness.over()
        before = {name: self._pid(name) for name in PROCESSES}
        for name in PROCESSES:
            if before[name] is None:
                self.found_gone(name, expected=name in ended)
        stack = platforms.start(self.state, only=WORKERS, settings=SETTINGS)
        for name in PROCESSES:
            if before[name] not in (None, self._pid(name)):
                self.found_gone(name, expected=name in ended)
        return stack

    def found_gone(self, instance: str, *, expected: bool = False) -> None:
        """Tell the witness that a process has ended, and how, if that can still be known."""
        if self.witness is not None:
            self.witness.gone(instance, self.exit_code(instance), expected=expected)

    def exit_code(self, instance: str) -> int | None:
        """Return how a dead process has ended (-9 for SIGKILL); None for one that was replaced or started elsewhere."""
        return processes.exit_code(instance, Layout.at(self.state))

    def _pid(self, instance: str) -> int | None:
        """Return the pid of a living process, also while Kafka or PostgreSQL is down."""
        running = processes.find_living(instance, Layout.at(self.state))
        return running.pid if running is not None else None

    def ready(self, instance: str) -> bool:
        """Whether a worker process says that it is ready, whatever else is down; False for one that says nothing."""
        return self._answers_ready(instance) == 200

    def waits(self, instance: str) -> bool:
        """Whether a worker process lives and says that it is not ready."""
        return self._answers_ready(instance) == 503

    def _answers_ready(self, instance: str) -> int:
        try:
            return httpx.get(self._health(instance) + "/ready", timeout=5).status_code
        except (httpx.TransportError, PlatformUnavailable):
            return 0

    def metrics(self, instance: str) -> str:
        """Return a worker's metrics page, empty while it cannot be asked."""
        try:
            return httpx.get(self._health(instance) + "/metrics", timeout=10).text
        except (httpx.TransportError, PlatformUnavailable):
            return ""

    def counted(self, instance: str, name: str) -> float:
        """Return the sum of a worker's counters of this name, whatever their labels; 0 while it cannot be asked."""
        return counted(self.metrics(instance), name)

    def _health(self, instance: str) -> str:
        """Return where a living worker answers, also while Kafka or PostgreSQL is down."""
        running = processes.find_living(instance, Layout.at(self.state))
        if running is None:
            raise PlatformUnavailable(f"{instance} does not run")
        return f"http://127.0.0.1:{running.ports['health']}"

    def alive(self, instance: str) -> bool:
        """Whether a process lives."""
        return self._pid(instance) is not None

    def instances(self) -> list[str]:
        """Return the names of the worker processes that run or should."""
        names = [each.instance for each in self.stack.status() if each.state != "stopped"]
        return [name for name in names if name not in ("kafka", "postgres-data", "postgres-keyring")]

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every worker says that it works."""
        for worker in WORKERS:
            await_(f"{worker}-1 is ready", lambda name=worker: self.ready(f"{name}-1"), seconds)

    def await_gone(self, instance: str, seconds: float = 60.0) -> None:
        """Wait until a process has ended."""
        await_(f"{instance} ends", lambda: not self.alive(instance), seconds)


@contextmanager
def faulty_platform(folder: Path, only: Iterable[str] | None = None) -> Iterator[Faulty]:
    """A platform outside the checkout that ends with the block, however it ends; `only` names fewer workers."""
    with temporary_state() as state:
        found = Faulty(state, folder).open(only)
        yield found
        found.close()
