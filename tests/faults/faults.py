"""Everything that is done to a platform: each a context that begins the fault, and undoes it at its end.

Only what somebody outside could do: signals, connections, locks, limits, Kafka's and PostgreSQL's own commands.
"""

import asyncio
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import psutil
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from tests.faults.faulty import SESSION_SECONDS, Faulty
from tests.faults.proxy import Proxy
from tests.fixtures.platform import Platform

ZOMBIE_SECONDS = 1.5 * SESSION_SECONDS


@contextmanager
def killed(faulty: Faulty, *instances: str, number: int = signal.SIGKILL) -> Iterator[None]:
    """Processes are ended by a signal; whoever supervises them starts them again."""
    stack = faulty.stack
    for instance in instances:
        stack.kill(instance, number)
    for instance in instances:
        faulty.await_gone(instance)
    try:
        yield
    finally:
        faulty.repair(*instances)


@contextmanager
def frozen(faulty: Faulty, instance: str, seconds: float = ZOMBIE_SECONDS) -> Iterator[None]:
    """A process stands still at least so long and then goes on with what it had in hand: a zombie."""
    stack, began = faulty.stack, time.monotonic()
    stack.kill(instance, signal.SIGSTOP)
    try:
        yield
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    finally:
        stack.kill(instance, signal.SIGCONT)


@contextmanager
def joined(faulty: Faulty, worker: str) -> Iterator[str]:
    """One more instance of a worker, until it is asked to leave."""
    guest = faulty.stack.add(worker)
    try:
        yield guest
    finally:
        let_leave(faulty, guest)


def let_leave(faulty: Faulty, guest: str) -> None:
    """Ask an instance to stop and wait until it has; one that has gone before, or ends in error, is told of."""
    if not faulty.alive(guest):
        faulty.found_gone(guest)
        return
    with suppress(PlatformUnavailable):
        faulty.stack.kill(guest, signal.SIGTERM)
    faulty.await_gone(guest)
    # None: another process has started it; by the signal itself: it was asked before it could listen.
    if faulty.exit_code(guest) not in (0, None, -signal.SIGTERM):
        faulty.found_gone(guest)


@contextmanager
def slow(
    faulty: Faulty, instance: str, still_seconds: float = 0.4, busy_seconds: float = 0.1
) -> Iterator[None]:
    """A process gets only a part of its time: it answers, but late."""
    stack = faulty.stack

    def throttle() -> None:
        stack.kill(instance, signal.SIGSTOP)
        time.sleep(still_seconds)
        stack.kill(instance, signal.SIGCONT)
        time.sleep(busy_seconds)

    try:
        with _again_and_again(throttle):
            yield
    finally:
        stack.kill(instance, signal.SIGCONT)


@contextmanager
def stopped_at_once(faulty: Faulty, cluster: str) -> Iterator[None]:
    """PostgreSQL is shut down in its `immediate` mode: as in a crash, without a checkpoint."""
    with killed(faulty, f"postgres-{cluster}", number=signal.SIGQUIT):
        yield


@contextmanager
def backends_terminated(faulty: Faulty, *roles: str, every_seconds: float = 1.0) -> Iterator[None]:
    """Every connection of these roles is ended by the server, again and again."""
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY ($1::text[])"

    stack = faulty.stack

    def terminate() -> None:
        for cluster, database in (("data", "lethe"), ("keyring", "keyring")):
            # Another fault may have the server down.
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                asyncio.run(_execute(stack.admin_dsn(cluster, database), sql, list(roles)))
        time.sleep(every_seconds)

    with _again_and_again(terminate):
        yield


async def _execute(dsn: str, sql: str, *arguments: object) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


@contextmanager
def locked(faulty: Faulty, statement: str, cluster: str = "data", database: str = "lethe") -> Iterator[None]:
    """Somebody's open transaction holds a lock that workers need."""
    with asyncio.Runner() as runner:
        connection: Any = runner.run(asyncpg.connect(faulty.stack.admin_dsn(cluster, database), timeout=10))
        runner.run(connection.execute(f"BEGIN; {statement}"))
        try:
            yield
        finally:
            connection.terminate()


@contextmanager
def resettable(faulty: Faulty, instance: str) -> Iterator[Proxy]:
    """A worker reaches its database through a proxy that can cut every connection in the middle of a word."""
    worker = instance.rpartition("-")[0]
    stack = faulty.stack
    port = stack.identity.ports["postgres-keyring" if worker == "keyring" else "postgres-data"]
    with Proxy(port) as proxy:
        try:
            stack.restart(instance, {"LETHE_DATABASE_PORT": str(proxy.port)})
            yield proxy
        finally:
            faulty.repair(instance)


@contextmanager
def disk_full(faulty: Faulty, cluster: str = "data") -> Iterator[None]:
    """No file of a PostgreSQL cluster may grow: data, WAL, nothing. Afterwards there is room again.

    The limit is on the size of files (setrlimit(2), RLIMIT_FSIZE): the server meets EFBIG where a full disk has ENOSPC.
    """
    instance = f"postgres-{cluster}"
    _limit_files(faulty.stack, instance, 1)
    try:
        yield
    finally:
        with suppress(PlatformUnavailable):
            _limit_files(faulty.stack, instance, resource.RLIM_INFINITY)
        faulty.repair(instance)


def _limit_files(stack: Stack, instance: str, size_bytes: int) -> None:
    server = psutil.Process(stack.pid(instance))
    # The parent first: a child that it starts from now on has the limit from the beginning.
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


@contextmanager
def away(faulty: Faulty, worker: str) -> Iterator[None]:
    """Every instance of a worker is stopped in order, and comes back at the end."""
    faulty.stack.stop_worker(worker)
    try:
        yield
    finally:
        faulty.repair(f"{worker}-1")


WRONG_BY = "LETHE_FAULTS_CLOCK_SECONDS"
WRONG_CLOCK = f"""\
# A wall clock that is wrong, for all Python code of one process: loaded by Python before anything else.
# The monotonic clock stays as it is. Everything that is made is a real datetime; only what `now` says differs.
import datetime, os, time

_by = float(os.environ["{WRONG_BY}"])
_real, _time, _time_ns = datetime.datetime, time.time, time.time_ns

class _Kind(type):
    def __instancecheck__(cls, value): return isinstance(value, _real)
    def __subclasscheck__(cls, kind): return issubclass(kind, _real)
    def __call__(cls, *arguments, **named): return _real(*arguments, **named)

class _Wrong(_real, metaclass=_Kind):
    __slots__ = ()
    @classmethod
    def now(cls, tz=None): return _real.now(tz) + datetime.timedelta(seconds=_by)
    @classmethod
    def utcnow(cls): return _real.utcnow() + datetime.timedelta(seconds=_by)

datetime.datetime = _Wrong
time.time = lambda: _time() + _by
time.time_ns = lambda: _time_ns() + int(_by * 1e9)
"""


@contextmanager
def wrong_clock(faulty: Faulty, instance: str, seconds: float) -> Iterator[None]:
    """A worker's wall clock is wrong by so many seconds, whatever of it asks; its monotonic clock is not touched."""
    folder = faulty.folder / "wrong-clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(WRONG_CLOCK)
    try:
        faulty.stack.restart(instance, {"PYTHONPATH": str(folder), WRONG_BY: str(seconds)})
        yield
    finally:
        faulty.repair(instance)


EXTRA_TOPIC = "LETHE_FAULTS_EXTRA_TOPIC"
NEW_VERSION = f"""\
# The next version of a worker, as far as its topics go: loaded by Python before anything else.
import os
import schemas.topics as matrix

extra = os.environ["{EXTRA_TOPIC}"]
matrix.TOPICS += (matrix.Topic(extra, (), frozenset({{"gateway"}}), frozenset({{os.environ["LETHE_PRINCIPAL"]}})),)
"""


@contextmanager
def reads_one_more(faulty: Faulty, worker: str) -> Iterator[tuple[str, str]]:
    """A second instance of a worker, of a version that reads one topic more; yields its name and the topic's."""
    stack = faulty.stack
    topic = Platform(stack).new_topic("extra")
    _let_read(stack, worker, topic)
    folder = faulty.folder / f"next-{topic}"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NEW_VERSION)
    with joined(faulty, worker) as guest:
        stack.restart(guest, {"PYTHONPATH": str(folder), EXTRA_TOPIC: topic})
        yield guest, topic


def _let_read(stack: Stack, principal: str, topic: str) -> None:
    read = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{principal}", "*",
        AclOperation.READ, AclPermissionType.ALLOW,
    )  # fmt: skip
    # Kept while it is waited for: a client that nobody holds any more answers nobody.
    admin = AdminClient(stack.kafka_settings("admin"))
    for future in admin.create_acls([read]).values():
        future.result(20)


@contextmanager
def _again_and_again(act: Callable[[], object]) -> Iterator[None]:
    """Do something over and over in the background; raise what went wrong with it."""
    stopping, failures = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not stopping.is_set():
                act()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(60)
    if failures:
        raise failures[0]
