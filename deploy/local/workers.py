"""The worker processes of one platform: how each is started, and whether it is ready."""

import http.client
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from deploy.local import infrastructure, ports, processes
from deploy.local.errors import PlatformRefused
from deploy.local.layout import Identity, Layout
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Launch, Running
from deploy.local.secrets import Secrets
from deploy.settings import (
    LOCAL_SESSION_TIMEOUT_SECONDS,
    PROCESSES,
    Addresses,
    WorkerProcess,
    process_of,
    worker_environment,
)


def existing() -> tuple[WorkerProcess, ...]:
    """Return the workers whose code is installed, in the order of starting."""
    return tuple(process for process in PROCESSES if process.exists)


def named(worker: str) -> WorkerProcess:
    """Return a worker by principal or folder; raise `PlatformRefused` if there is none, or no code of it."""
    try:
        process = process_of(worker)
    except KeyError:
        known = ", ".join(each.principal for each in PROCESSES)
        raise PlatformRefused(f"no worker is called {worker}; there are {known}") from None
    if not process.exists:
        raise PlatformRefused(f"the code of worker {worker} ({process.module}) is not installed")
    return process


def worker_of(instance: str) -> WorkerProcess | None:
    """Return the worker of which a process is an instance; None for Kafka and PostgreSQL."""
    principal, _, number = instance.rpartition("-")
    return next((each for each in PROCESSES if each.principal == principal and number.isdigit()), None)


def next_instance(process: WorkerProcess, layout: Layout) -> str:
    """Return the lowest name that no living instance has."""
    number = 1
    while processes.find_living(f"{process.principal}-{number}", layout) is not None:
        number += 1
    return f"{process.principal}-{number}"


def port_names(process: WorkerProcess) -> tuple[str, ...]:
    return ("health", "http") if process.serves_http else ("health",)


def choose_ports(process: WorkerProcess, instance: str, layout: Layout, identity: Identity) -> dict[str, int]:
    """Return the instance's ports by name: those of its living process, else the kept ones, else new ones."""
    living = processes.find_living(instance, layout)
    if living is not None:
        return dict(living.ports)
    others = {
        f"{each.instance}:{name}": port
        for each in processes.remembered(layout)
        for name, port in each.ports.items()
    }
    names = [f"{instance}:{name}" for name in port_names(process)]
    # The kept one wins over what a dead process had.
    chosen = ports.choose(names, {**others, **identity.ports})
    return {name.partition(":")[2]: port for name, port in chosen.items()}


def launch_of(
    process: WorkerProcess, instance: str, chosen: Mapping[str, int], layout: Layout, identity: Identity,
    secrets: Secrets, *, restored: bool = False,
) -> Launch:  # fmt: skip
    """Return how to start an instance on chosen ports; `restored` is the operator's word for this one start."""
    cluster_port = identity.ports[f"postgres-{process.cluster}"]
    at = Addresses(f"{LOOPBACK}:{identity.ports['kafka']}", LOOPBACK, cluster_port, keyring_url(identity))
    chosen_settings = identity.settings.get(process.principal, {})
    # The gateway publishes the keys that verify certificates.
    word = {"restored": "true"} if restored else {}
    public = {"certificate_keys": str(layout.client / "keys.jwks")} if process.principal == "gateway" else {}
    environment = worker_environment(
        process, instance, at,
        secrets=str(secrets.folder(process.principal)),
        health_port=chosen["health"],
        http=(LOOPBACK, chosen["http"]) if process.serves_http else None,
        keks=str(layout.keks),
        more={"session_timeout_seconds": str(LOCAL_SESSION_TIMEOUT_SECONDS), **public, **chosen_settings, **word},
    )  # fmt: skip
    return Launch(instance, (_interpreter(), "-m", process.module), environment, chosen)


def _interpreter() -> str:
    """Return the environment's Python under one name, or a start by another would look like a change."""
    usual = Path(sys.prefix) / "bin" / "python"
    return str(usual) if usual.exists() else sys.executable


def keyring_url(identity: Identity) -> str:
    port = identity.ports.get("keyring-1:http")
    return f"http://{LOOPBACK}:{port}" if port else ""


def ready(running: Running) -> bool:
    """Whether a worker says that it works; Kafka and PostgreSQL have other ways of saying so."""
    connection = http.client.HTTPConnection(LOOPBACK, running.ports["health"], timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def await_ready(started: Iterable[Running], layout: Layout) -> None:
    """Wait until workers say that they work; raise `PlatformUnavailable` for the first that ends before."""
    infrastructure.await_ready([(each, partial(ready, each)) for each in started], layout)
