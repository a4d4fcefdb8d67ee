"""A platform that may be ill-treated: a shop and two carriers that use it, and what an operator does to mend it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local import stack as platforms
from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from tests.faults.rules import INSTANCES
from tests.fixtures import search
from tests.fixtures.canaries import MARKS
from tests.fixtures.carrier import FIELDS, Carrier
from tests.fixtures.evidence import WORKERS, await_
from tests.fixtures.platform import temporary_state
from tests.fixtures.shop import Shop

SETTINGS: Mapping[str, Mapping[str, str]] = {"orders": {"returns_window_days": "0"}}
FEW_FIELDS = ("name", "address_lines", "city", "postal_code", "country", "delivery_note")
SESSION_SECONDS = 8
"""After so long without a sign of life a worker's lanes go to another one, on the local platform."""
PROCESSES = INSTANCES
READY_SECONDS = 180.0


@dataclass
class Faulty:
    """One running platform, a shop, and two carriers of which one gets less than the other."""

    state: Path
    folder: Path
    """Where shop and carriers keep their own files."""
    shop: Shop = field(init=False)
    carriers: list[Carrier] = field(init=False)

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

    def repair(self, settings: Mapping[str, Mapping[str, str]] | None = None) -> Stack:
        """Do what an operator, or a supervisor, does: start what does not run."""
        return platforms.start(self.state, only=WORKERS, settings={**SETTINGS, **(settings or {})})

    def ready(self, instance: str) -> bool:
        """Return what a worker process says of itself."""
        try:
            return httpx.get(self.stack.health_url(instance) + "/ready", timeout=5).status_code == 200
        except (httpx.TransportError, PlatformUnavailable):
            return False

    def metrics(self, instance: str) -> str:
        """Return a worker's metrics page, empty while it cannot be asked."""
        try:
            return httpx.get(self.stack.health_url(instance) + "/metrics", timeout=10).text
        except (httpx.TransportError, PlatformUnavailable):
            return ""

    def alive(self, instance: str) -> bool:
        """Whether a process lives."""
        try:
            self.stack.pid(instance)
        except PlatformUnavailable:
            return False
        return True

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
