"""Kafka and the PostgreSQL clusters of one platform: started where they do not run, repaired where they were killed."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deploy.local import jars, ports, processes
from deploy.local.errors import PlatformUnavailable
from deploy.local.kafka import INSTANCE as KAFKA
from deploy.local.kafka import Kafka, answers, client_settings
from deploy.local.layout import CLUSTERS, Identity, Layout
from deploy.local.postgres import Cluster
from deploy.local.processes import Launch, Running
from deploy.local.secrets import Secrets
from deploy.settings import STOP_SECONDS

START_SECONDS = 180
PORTS: Mapping[str, tuple[str, ...]] = {
    KAFKA: ("kafka", "kafka-controller"),
    **{f"postgres-{cluster}": (f"postgres-{cluster}",) for cluster in CLUSTERS},
}


def choose_ports(layout: Layout, identity: Identity) -> Identity:
    """Return the identity with a port for everything; those of living processes stay."""
    resting = [name for name in PORTS if processes.find_living(name, layout) is None]
    names = [port for instance in resting for port in PORTS[instance]]
    return identity.with_ports(ports.choose(names, identity.ports))


def clusters(layout: Layout, identity: Identity, secrets: Secrets) -> dict[str, Cluster]:
    """Return the clusters by name; their ports must have been chosen."""
    return {name: Cluster(name, layout, secrets, identity.ports[f"postgres-{name}"]) for name in CLUSTERS}


def admin_settings(identity: Identity, secrets: Secrets) -> dict[str, str]:
    """Return what a Kafka client needs to log in as the admin."""
    return client_settings(identity.ports["kafka"], "admin", secrets.get("admin", "kafka_password"))


def start(layout: Layout, identity: Identity, secrets: Secrets, jar_files: Iterable[Path]) -> None:
    """Bring Kafka and the clusters up side by side; return when each of them answers."""
    kafka = Kafka(layout, secrets, tuple(jar_files), identity.platform, identity.ports)
    kafka_answers = partial(answers, admin_settings(identity, secrets))
    starts = [partial(_start_kafka, kafka, layout, identity, kafka_answers)]
    starts += [
        partial(_start_cluster, cluster, layout, identity)
        for cluster in clusters(layout, identity, secrets).values()
    ]
    with ThreadPoolExecutor(len(starts)) as pool:
        for started in [pool.submit(each) for each in starts]:
            started.result()


def fetch_jars(layout: Layout, progress: jars.Progress | None = None) -> tuple[Path, ...]:
    return jars.ensure(jars.choose_cache(layout.root), progress=progress)


def _start_kafka(kafka: Kafka, layout: Layout, identity: Identity, ready: Callable[[], bool]) -> None:
    kafka.prepare()
    running = ensure(kafka.launch(), layout, identity)
    await_ready([(running, ready)], layout)


def _start_cluster(cluster: Cluster, layout: Layout, identity: Identity) -> None:
    cluster.prepare()

    running = ensure(cluster.launch(), layout, identity, cluster.clear_lock)
    await_ready([(running, cluster.answers)], layout)


def ensure(
    what: Launch, layout: Layout, identity: Identity, before: Callable[[], None] = lambda: None
) -> Running:
    """Return the living process that fits; else stop the one that does not, call `before`, and start another."""
    living = processes.find_living(what.instance, layout)
    if living is not None and living.fingerprint == what.fingerprint:
        return living
    if living is not None:
        processes.stop([living], layout, STOP_SECONDS)
    # One that was started just before its starter was killed was never noted; and the children of a killed
    # PostgreSQL live on for a moment and hold the memory that a new one needs.
    processes.sweep(layout, identity.platform, what.instance)
    before()
    return processes.launch(what, layout, identity.platform)


def await_ready(starting: Iterable[tuple[Running, Callable[[], bool]]], layout: Layout) -> None:
    """Wait until processes serve, each of which is asked in its own way.

    Raises `PlatformUnavailable` when one takes too long, and at once when one ends: the others may be waiting for it.
    """
    waiting, until = list(starting), time.monotonic() + START_SECONDS
    while waiting := [(running, ready) for running, ready in waiting if not ready()]:
        for running, _ in waiting:
            if not running.alive:
                log = layout.log(running.instance)
                raise PlatformUnavailable(
                    f"{running.instance} ended while starting: {last_line(log)} (see {log})"
                )
        if time.monotonic() > until:
            late = waiting[0][0].instance
            raise PlatformUnavailable(f"{late} is not ready after {START_SECONDS} s (see {layout.log(late)})")
        time.sleep(0.1)


def last_line(log: Path) -> str:
    """Return the last line of a log; logs hold no personal value and no secret."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
