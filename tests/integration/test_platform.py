"""The embedded platform starts, survives, repairs and stops itself, and keeps to its state directory."""

import json
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.local import processes, stack
from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout
from schemas.topics import OPERATOR, TOPICS, WORKERS
from tests.fixtures.platform import temporary_state

LETHE = (sys.executable, "-m", "services.cli")
INFRASTRUCTURE = ("kafka", "postgres-data", "postgres-keyring")


def lethe(state: Path, *arguments: str, expect: int = 0, prefix: tuple[str, ...] = ()) -> dict:
    """Run one verb with `--json` and return its answer."""
    command = [*prefix, *LETHE, *arguments, "--state", str(state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=state.parent)
    assert done.returncode == expect, done.stdout + done.stderr
    return json.loads(done.stdout)


def pids(state: Path) -> dict[str, int]:
    return {each.instance: each.pid for each in processes.remembered(Layout.at(state)) if each.alive}


@dataclass
class Watch:
    """Everything that was on any command line or in any environment while it looked."""

    seen: set[bytes]

    @classmethod
    def while_(cls, action) -> "Watch":
        seen: set[bytes] = set()
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                for process in psutil.process_iter():
                    for part in ("cmdline", "environ"):
                        try:
                            seen.add(Path(f"/proc/{process.pid}/{part}").read_bytes())
                        except OSError:
                            continue
                time.sleep(0.01)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            action()
        finally:
            done.set()
            thread.join()
        return cls(seen)


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[Path, Watch]]:
    """A platform that only this module uses, and may ill-treat; started as a person starts it, while being watched."""
    with temporary_state() as state:
        yield state, Watch.while_(lambda: lethe(state, "up", "--no-workers"))


@pytest.fixture
def state(own: tuple[Path, Watch]) -> Path:
    return own[0]


def test_no_secret_is_ever_on_a_command_line_or_in_an_environment(own: tuple[Path, Watch]):
    """Formatting, initialising, starting, granting: each gets its secrets by file (T2)."""
    state, watch = own
    everything = b"\n".join(watch.seen)
    assert b"kafka.tools.StorageTool" not in everything and b"initdb" in everything, "looked too rarely"
    found = [path for path in (state / "secrets").rglob("*") if path.is_file()]
    assert len(found) > 20
    for path in found:
        for line in path.read_bytes().strip().splitlines():
            assert line not in everything, f"{path.parent.name}/{path.name}"


def test_nobody_else_may_read_the_state(state: Path):
    """Directories 0700, files 0600: secrets, configurations, databases, logs (T1, T2)."""
    for path in (state, *state.rglob("*")):
        if not path.is_symlink():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_starting_again_changes_nothing(state: Path):
    """The same processes on the same ports, whoever calls it how often."""
    before = pids(state)
    assert set(before) == set(INFRASTRUCTURE)
    lethe(state, "up", "--no-workers")
    assert pids(state) == before
    answer = lethe(state, "topics", "plan")
    assert answer == {"changes": []}


def test_what_was_killed_comes_back_with_its_data(state: Path):
    """kill -9 of everything at once: a record and a row that were acknowledged before are there after (T1)."""
    platform = stack.attach(state)
    kafka_before = platform.kafka
    producer = Producer({**platform.kafka_settings("admin"), "acks": "all"})
    producer.produce("orders", b"survives", partition=3)
    assert producer.flush(10) == 0
    data = platform.clusters["data"]
    data.run_sql("CREATE TABLE public.kept AS SELECT 'survives' AS what", "lethe")

    for instance in INFRASTRUCTURE:
        platform.kill(instance)
    assert {each["state"] for each in lethe(state, "status", expect=1)} >= {"killed"}
    with pytest.raises(PlatformUnavailable):
        stack.attach(state)
    lethe(state, "up", "--no-workers")

    assert stack.attach(state).kafka == kafka_before
    assert data.run_sql("SELECT what FROM public.kept", "lethe") == "survives\n"
    consumer = Consumer({**platform.kafka_settings("admin"), "group.id": "test"})
    consumer.assign([TopicPartition("orders", 3, 0)])
    assert consumer.poll(15).value() == b"survives"
    consumer.close()
    data.run_sql("DROP TABLE public.kept", "lethe")


def test_processes_on_no_record_are_replaced_not_joined(state: Path):
    """Whoever killed `lethe up` half-way left servers that nobody remembers; the next start wins over them."""
    before = pids(state)
    for record in (state / "run").glob("*.json"):
        record.unlink()
    lethe(state, "up", "--no-workers")
    after = pids(state)
    assert set(after) == set(before)
    assert not any(psutil.pid_exists(pid) for pid in before.values())


def test_a_lock_file_of_a_dead_server_does_not_stop_a_new_one(state: Path):
    """Its pid can be a stranger's by now: ours, here."""
    platform = stack.attach(state)
    platform.kill("postgres-data")
    lock = state / "postgres" / "data" / "postmaster.pid"
    _, *rest = lock.read_text().splitlines(keepends=True)
    lock.write_text("".join([f"{os.getpid()}\n", *rest]))
    lethe(state, "up", "--no-workers")
    assert stack.attach(state).pid("postgres-data") != os.getpid()


def test_a_port_that_somebody_took_is_chosen_again(state: Path):
    """Down, port taken, up: elsewhere, everything told."""
    before = stack.attach(state).identity.ports["kafka"]
    assert lethe(state, "down")["stopped"] == 3
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebody.bind(("127.0.0.1", before))
        somebody.listen()
        lethe(state, "up", "--no-workers")
    assert stack.attach(state).identity.ports["kafka"] != before
    assert (
        str(stack.attach(state).identity.ports["kafka"]) in (state / "client" / "operator.kcat").read_text()
    )


def test_two_platforms_stand_side_by_side(state: Path, platform):
    """Other ports, other secrets, other cluster; neither notices the other."""
    one, other = stack.attach(state), platform.stack
    assert one.identity.platform != other.identity.platform
    assert not set(one.identity.ports.values()) & set(other.identity.ports.values())
    for principal in (*WORKERS, OPERATOR):
        assert one.credentials(principal).password != other.credentials(principal).password
    assert all(each.state == "ready" for each in other.status() if each.instance in INFRASTRUCTURE)


def test_the_operator_reads_with_kcat(state: Path, tool):
    """`client/operator.kcat` and a foreign tool are all that is needed to look at every topic."""
    tool("kcat")
    client = state / "client"
    done = subprocess.run(
        [client / "kcat", "-F", client / "operator.kcat", "-L", "-J"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    listed = {each["topic"] for each in json.loads(done.stdout)["topics"]}
    assert listed >= {topic.name for topic in TOPICS}


def test_down_leaves_no_process(state: Path):
    """Twice is as good as once; afterwards nothing of the platform lives, remembered or not."""
    identity = stack.attach(state).identity
    assert lethe(state, "down", "--dry-run")["would_stop"] == list(INFRASTRUCTURE)
    assert lethe(state, "down") == {"stopped": 3}
    assert lethe(state, "down") == {"stopped": 0}
    assert processes.strays(Layout.at(state), identity.platform) == []
    assert list((state / "run").iterdir()) == []
    assert {each["state"] for each in lethe(state, "status", expect=1)} == {"stopped"}


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests ran as an ordinary user already")
def test_an_ordinary_user_needs_nothing_but_a_directory():
    """Started as a user without a name or a home; afterwards that user owns nothing outside the state directory."""
    nobody = random.randrange(50_000, 60_000)
    # The interpreter of this checkout may lie in root's home: let the user read it, and nothing more.
    readable = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    prefix = ("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", *readable)
    with temporary_state() as state:
        os.chown(state.parent, nobody, nobody)
        lethe(state, "up", "--no-workers", prefix=prefix)
        owners = {psutil.Process(pid).uids().real for pid in pids(state).values()}
        assert owners == {nobody}
        lethe(state, "down", prefix=prefix)
        places = ("/tmp", "/var/tmp", "/dev/shm", "/run", str(Path.home()), str(Path(__file__).parents[2]))
        search = [
            "find",
            *places,
            "-xdev",
            "-user",
            str(nobody),
            "-not",
            "-path",
            str(state.parent),
            "-not",
            "-path",
            f"{state}*",
        ]
        assert subprocess.run(search, capture_output=True, text=True).stdout == ""
