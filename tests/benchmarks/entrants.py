"""How each contestant is started, killed and asked what it has kept: ours on the platform, the others as processes."""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException

from deploy.local.stack import Stack
from schemas.topics import HOLDS, ORDERS
from tests.benchmarks.arena import Arena, Ends
from tests.fixtures import evidence

PEERS = Path(os.environ.get("LETHE_BENCH_PEERS", "build/peers"))
"""The environment of the others, as `make bench` makes it."""
AT_HOME = ("orders", "floor", "plain")
"""Those that need nothing but what the project has."""
LOGS = Path("build/bench-logs")
_TABLES = ("orders", "outbox", "remembered", "timer", "dead_letter", "ending", "suppression")
_HISTORY = """
    INSERT INTO orders.orders (order_id, subject, stage, revision, carrier, basket, ship_to)
    SELECT md5(random()::text), md5(random()::text), 'closed', 4, 'bluevan', repeat('x', 120), repeat('x', 120)
    FROM generate_series(1, $1::int)
"""
_ERASED = """
    INSERT INTO orders.suppression (subject, request, round, but)
    SELECT md5(random()::text), md5(random()::text), 1, '{}' FROM generate_series(1, $1::int)
"""


class Entrant(Protocol):
    """A contestant in one run."""

    name: str
    target: str
    """The topic it emits to."""
    since: Ends
    """Where that topic ended before the run."""

    def prepare(self, orders: int) -> int:
        """Make sure that so many orders wait and that nothing is kept of them; return how many do wait."""

    def start(self, instances: int = 1) -> None:
        """Start its processes; returns at once for those who cannot say when they work."""

    def kill(self) -> None:
        """Kill -9 everything it runs."""

    def stop(self) -> None:
        """End it after a run."""

    def pids(self) -> list[int]:
        """Return its processes."""

    def rows(self) -> int:
        """Return how many orders it has kept."""


class Ours:
    """The orders worker of the platform, with everything it guarantees."""

    name = "orders"
    target = HOLDS.name

    def __init__(self, arena: Arena, history: int = 0, erased: int = 0) -> None:
        """With so many orders stored and people erased before anything is measured."""
        self._arena = arena
        self._stack: Stack = arena.stack
        self._history = history
        self._erased = erased
        self._instances: list[str] = []
        self.since: Ends = {}

    def prepare(self, orders: int) -> int:
        waiting = self._arena.fill(orders)
        self._read_again()
        self._arena.settle()
        self.since = self._arena.ends(self.target)
        return waiting

    def _read_again(self) -> None:
        """Empty its tables and let it begin at the first order; events keep the ids that their causes give them."""
        dsn = self._stack.admin_dsn()
        if not evidence.rows(dsn, "SELECT 1 FROM pg_tables WHERE schemaname = 'orders'"):
            self.start()
            self._await_ready()
            self.stop()
        evidence.rows(dsn, "TRUNCATE " + ", ".join(f"orders.{table}" for table in _TABLES))
        evidence.rows(dsn, "UPDATE orders.progress SET next_offset = 0 WHERE topic = $1", ORDERS.name)
        evidence.rows(dsn, _HISTORY, self._history)
        evidence.rows(dsn, _ERASED, self._erased)
        evidence.rows(dsn, "ANALYZE orders.orders, orders.suppression")
        until = time.monotonic() + 30
        while True:  # Members that were killed stay in their group until their session has ended.
            with suppress(KafkaException):
                self._arena.forget_group("orders")
                return
            assert time.monotonic() < until, "the group of the orders worker never became empty"
            time.sleep(0.5)

    def _await_ready(self) -> None:
        urls = [self._stack.health_url(instance) for instance in self._instances]
        evidence.await_("the orders worker is ready", lambda: all(map(_answers, urls)))

    def start(self, instances: int = 1) -> None:
        self._instances = [self._stack.add("orders", wait=False) for _ in range(instances)]

    def kill(self) -> None:
        for instance in self._instances:
            self._stack.kill(instance)

    def stop(self) -> None:
        self._stack.stop_worker("orders")

    def pids(self) -> list[int]:
        return [self._stack.pid(instance) for instance in self._instances]

    def rows(self) -> int:
        found = evidence.rows(self._stack.admin_dsn(), "SELECT count(*) FROM orders.orders")[0][0]
        return int(found) - self._history


def _answers(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/ready", timeout=2) as answer:
        return bool(answer.status == 200)


class Peer:
    """One of `contestants/`, in a process of its own."""

    def __init__(self, name: str, arena: Arena, dsn: str = "") -> None:
        """With a database of its own if `dsn` says so; else they all use one, by turns."""
        self.name = name
        self._arena = arena
        self._dsn = dsn or arena.dsn
        self._processes: list[subprocess.Popen[bytes]] = []
        self.since: Ends = {}

    def prepare(self, orders: int) -> int:
        self._task = self._arena.task(self.name, self._arena.source(orders), self._dsn)
        self.target = self._task.target
        self._arena.settle()
        self.since = self._arena.ends(self.target)
        return orders

    def start(self, instances: int = 1) -> None:
        python = sys.executable if self.name in AT_HOME else str(PEERS / "bin" / "python")
        module = f"tests.benchmarks.contestants.{self.name.replace('-', '_')}"
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{self.name}.log").open("ab") as log:
            self._processes += [
                subprocess.Popen(
                    [python, "-m", module],
                    env=os.environ | self._task.environment(),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
                for _ in range(instances)
            ]

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    stop = kill

    def pids(self) -> list[int]:
        assert all(process.poll() is None for process in self._processes), f"{self.name} ended by itself"
        return [process.pid for process in self._processes]

    def rows(self) -> int:
        return int(evidence.rows(self._dsn, "SELECT count(*) FROM state")[0][0])


def entrant(name: str, arena: Arena) -> Entrant:
    """Return a contestant by its name."""
    return Ours(arena) if name == Ours.name else Peer(name, arena)
