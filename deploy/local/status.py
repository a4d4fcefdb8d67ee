"""How every process of a platform is, whether the platform is up or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import infrastructure, processes, workers
from deploy.local.kafka import INSTANCE as KAFKA
from deploy.local.kafka import answers
from deploy.local.layout import Identity, Layout
from deploy.local.processes import Running
from deploy.local.secrets import Secrets


@dataclass(frozen=True)
class Status:
    """How one process is: `ready`, `starting` (lives, does not serve), `killed` or `stopped`."""

    instance: str
    state: str
    pid: int | None
    ports: Mapping[str, int]
    since: float | None


def status(state: Path | str) -> tuple[Status, ...]:
    """Return how every process is that runs or should, whether the platform is up or not."""
    layout = Layout.at(state)
    expected = [*infrastructure.PORTS, *(f"{each.principal}-1" for each in workers.existing())]
    found = {each.instance: each for each in processes.remembered(layout)} if layout.exists else {}
    names = [*expected, *(name for name in found if name not in expected)]
    return tuple(_status(name, found.get(name), layout) for name in names)


def _status(instance: str, running: Running | None, layout: Layout) -> Status:
    if running is None:
        return Status(instance, "stopped", None, {}, None)
    if not running.alive:
        return Status(instance, "killed", None, running.ports, None)
    state = "ready" if _ready(running, layout) else "starting"
    return Status(instance, state, running.pid, running.ports, running.since)


def _ready(running: Running, layout: Layout) -> bool:
    identity, secrets = Identity.load(layout), Secrets(layout)
    if running.instance == KAFKA:
        return answers(infrastructure.admin_settings(identity, secrets))
    if running.instance in infrastructure.PORTS:
        name = running.instance.removeprefix("postgres-")
        return infrastructure.clusters(layout, identity, secrets)[name].answers()
    return workers.ready(running)
