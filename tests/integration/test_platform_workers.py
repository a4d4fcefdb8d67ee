"""Every worker is a process of its own: started, added, stopped, killed and brought back alone."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from deploy.local import processes, stack, workers
from deploy.settings import PROCESSES

LETHE = (sys.executable, "-m", "services.cli")


def lethe(state: Path, *arguments: str) -> dict:
    command = [*LETHE, *arguments, "--state", str(state), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def states(platform) -> dict[str, str]:
    return {each.instance: each.state for each in platform.stack.status()}


def test_every_worker_is_a_ready_process_under_its_own_name(whole_platform):
    """One process per principal, told its own secrets and nobody else's (T2)."""
    assert set(states(whole_platform).values()) == {"ready"}
    for process in PROCESSES:
        environment = psutil.Process(whole_platform.stack.pid(f"{process.principal}-1")).environ()
        assert environment["LETHE_PRINCIPAL"] == process.principal
        assert environment["LETHE_SECRETS"].endswith(f"/secrets/{process.principal}")
        given = {path.name for path in Path(environment["LETHE_SECRETS"]).iterdir()}
        assert given == {"kafka_password", "database_password", "keyring_token", *process.secrets}
        assert not {name for name in environment if "PASSWORD" in name or "TOKEN" in name}


def test_every_worker_says_how_it_is(whole_platform):
    """`/live`, `/ready` and `/metrics` on the loopback."""
    for process in PROCESSES:
        base = whole_platform.stack.health_url(f"{process.principal}-1")
        for path in ("/live", "/ready", "/metrics"):
            assert urllib.request.urlopen(base + path, timeout=5).status == 200


def test_one_more_instance_runs_in_the_foreground_until_interrupted(whole_platform):
    """`lethe run orders` is scaling: on the record while it lives, gone when it goes, exit 0."""
    platform = whole_platform.stack
    parent = subprocess.Popen(
        [*LETHE, "run", "orders", "--state", str(platform.state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        _until(lambda: states(whole_platform).get("orders-2") == "ready")
        assert psutil.Process(platform.pid("orders-2")).ppid() == parent.pid
    finally:
        parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 0
    assert "orders-2" not in states(whole_platform)


def test_a_worker_is_stopped_alone_and_started_again(whole_platform):
    """`lethe down carriers` leaves the others alone, and so does the `lethe up` after it."""
    platform = whole_platform.stack
    extra = platform.add("carriers")
    before = {each.instance: each.pid for each in platform.status()}
    lethe(platform.state, "down", "dispatch")
    after = states(whole_platform)
    assert after["carriers-1"] == "stopped" and extra not in after
    lethe(platform.state, "up")
    again = {each.instance: each.pid for each in platform.status()}
    assert {name for name in again if again[name] != before[name]} == {"carriers-1"}


def test_a_killed_worker_is_brought_back(whole_platform):
    """kill -9; `lethe up`; the same name, the same port, ready."""
    platform = whole_platform.stack
    port = platform.health_url("orders-1")
    platform.kill("orders-1")
    assert states(whole_platform)["orders-1"] == "killed"
    lethe(platform.state, "up")
    assert states(whole_platform)["orders-1"] == "ready" and platform.health_url("orders-1") == port


def test_the_anonymous_streams_workers_scale_die_and_come_back_as_all_do(whole_platform):
    """A second instance of each becomes ready beside the first, kill -9 takes that one, one `lethe up` repairs all."""
    platform = whole_platform.stack
    stream = ("clickstream", "recommendations", "insights")
    extra = [platform.add(worker, wait=False) for worker in stream]
    _until(lambda: all(states(whole_platform)[each] == "ready" for each in extra), 120)
    for worker in stream:
        platform.kill(f"{worker}-1")
    lethe(platform.state, "up")
    assert {states(whole_platform)[each] for each in (*extra, *(f"{worker}-1" for worker in stream))} == {
        "ready"
    }
    for each in extra:
        lethe(platform.state, "down", each)
    assert not {*extra} & states(whole_platform).keys()


def test_a_changed_setting_restarts_its_worker_only(whole_platform):
    """What a worker is told is kept, and told again by every later start."""
    platform = whole_platform.stack
    before = {each.instance: each.pid for each in platform.status()}
    lethe(platform.state, "up", "--set", "erasure.policy_version=7")
    after = {each.instance: each.pid for each in platform.status()}
    assert {name for name in after if after[name] != before[name]} == {"erasure-1"}
    environment = psutil.Process(after["erasure-1"]).environ()
    assert environment["LETHE_POLICY_VERSION"] == "7"
    lethe(platform.state, "up", "--set", "erasure.policy_version=")
    assert "LETHE_POLICY_VERSION" not in psutil.Process(platform.pid("erasure-1")).environ()


def test_an_instance_is_restarted_with_more_in_its_environment_once(whole_platform):
    """For tests that arm one process; the next start of it is a usual one."""
    platform = whole_platform.stack
    others = {each.instance: each.pid for each in platform.status() if each.instance != "erasure-1"}
    platform.restart("erasure-1", {"LETHE_FAILPOINT": "adopt.before"})
    assert psutil.Process(platform.pid("erasure-1")).environ()["LETHE_FAILPOINT"] == "adopt.before"
    assert states(whole_platform)["erasure-1"] == "ready"
    lethe(platform.state, "up")
    assert "LETHE_FAILPOINT" not in psutil.Process(platform.pid("erasure-1")).environ()
    assert others == {each.instance: each.pid for each in platform.status() if each.instance != "erasure-1"}


def test_a_worker_that_cannot_start_is_named_with_its_reason(whole_platform):
    """No waiting for nothing: the last line of its log is the answer."""
    platform = whole_platform.stack
    command = [*LETHE, "up", "--set", "erasure.database_port=none", "--state", str(platform.state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert "erasure-1 ended while starting" in json.loads(done.stdout)["error"]
    lethe(platform.state, "up", "--set", "erasure.database_port=")
    assert set(states(whole_platform).values()) == {"ready"}


def test_the_record_of_every_process_names_its_worker(whole_platform):
    """Names tell what a process is, so that one kind can be stopped as a whole."""
    for running in processes.remembered(whole_platform.stack.layout):
        process = workers.worker_of(running.instance)
        assert (process is None) == (running.instance in ("kafka", "postgres-data", "postgres-keyring"))
    assert stack.attach(whole_platform.stack.state).gateway_url == whole_platform.stack.gateway_url


def _until(true, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
