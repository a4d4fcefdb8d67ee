"""A whole platform on one machine: start it, look at it, stop it.

`start` brings a state directory into the wanted state whatever happened before; doing it again changes nothing.
`attach` finds a platform that runs. Everything else asks the `Stack` that both return.
"""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from deploy.local import access, client_files, infrastructure, jars, processes, workers
from deploy.local.errors import PlatformRefused, PlatformUnavailable
from deploy.local.kafka import INSTANCE as KAFKA
from deploy.local.kafka import client_settings
from deploy.local.layout import Identity, Layout
from deploy.local.lock import alone
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import Cluster
from deploy.local.processes import Launch, Running
from deploy.local.secrets import Secrets
from deploy.local.status import Status as Status
from deploy.local.status import status as status
from deploy.settings import STOP_SECONDS, WorkerProcess, process_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class Credentials:
    """A principal's login at Kafka."""

    username: str
    password: SecretStr


@dataclass(frozen=True)
class Stack:
    """A platform whose Kafka and PostgreSQL run."""

    layout: Layout
    identity: Identity

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.layout.root

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.layout)

    @property
    def kafka(self) -> str:
        """host:port of the broker."""
        return f"{LOOPBACK}:{self.identity.ports['kafka']}"

    @property
    def keyring_url(self) -> str:
        """Where the keyring serves; empty if it has never been started."""
        return workers.keyring_url(self.identity)

    @property
    def gateway_url(self) -> str:
        """Where the gateway serves; empty if it has never been started."""
        return self._url("gateway-1")

    @property
    def insights_url(self) -> str:
        """Where a shop's numbers and the merchandiser's page are; empty if it has never been started."""
        return self._url("insights-1")

    @property
    def clusters(self) -> dict[str, Cluster]:
        return infrastructure.clusters(self.layout, self.identity, self.secrets)

    def credentials(self, principal: str) -> Credentials:
        """Return a principal's login at Kafka; raise `PlatformRefused` for one who has none."""
        if not self.secrets.path(principal, "kafka_password").exists():
            raise PlatformRefused(f"there is no principal {principal}")
        return Credentials(principal, SecretStr(self.secrets.get(principal, "kafka_password")))

    def kafka_settings(self, principal: str) -> dict[str, str]:
        """Return what a librdkafka client needs to log in as a principal."""
        password = self.credentials(principal).password.get_secret_value()
        return client_settings(self.identity.ports["kafka"], principal, password)

    def keyring_token(self, principal: str) -> SecretStr:
        """Return a principal's token for the keyring."""
        return SecretStr(self.secrets.get(principal, "keyring_token"))

    def dsn(self, principal: str) -> str:
        """Return where and how a worker logs in to its database; holds its password."""
        process = process_of(principal)
        password = self.secrets.get(process.principal, "database_password")
        return self._dsn(process.principal, password, process.cluster, process.database)

    def admin_dsn(self, cluster: str = "data", database: str = "lethe") -> str:
        """Return the super user's login to a database of a cluster (`data`, `keyring`); holds its password."""
        return self._dsn("admin", self.clusters[cluster].password, cluster, database)

    def _url(self, instance: str) -> str:
        port = self.identity.ports.get(f"{instance}:http")
        return f"http://{LOOPBACK}:{port}" if port else ""

    def _dsn(self, role: str, password: str, cluster: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.identity.ports[f'postgres-{cluster}']}/{database}"

    def health_url(self, instance: str) -> str:
        """Return where an instance serves /live, /ready and /metrics; raise `PlatformUnavailable` if it is dead."""
        return f"http://{LOOPBACK}:{self._living(instance).ports['health']}"

    def pid(self, instance: str) -> int:
        """Return the pid of `kafka`, `postgres-data`, `orders-1`, …; raise `PlatformUnavailable` if it is dead."""
        return self._living(instance).pid

    def kill(self, instance: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process, for tests of what survives it; `start` repairs."""
        processes.kill(self._living(instance), number)

    def add(self, worker: str, wait: bool = True) -> str:
        """Start one more instance of a worker, detached; return its name."""
        process = workers.named(worker)
        # Held, or two at once would take the same name.
        with alone(self.layout):
            instance = workers.next_instance(process, self.layout)
            running = processes.launch(self.launch(process, instance), self.layout, self.identity.platform)
        if wait:
            workers.await_ready([running], self.layout)
        return instance

    def restart(self, instance: str, environment: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Stop a worker instance if it runs and start it, this one time with more in its environment.

        Nothing of that is kept: the next start is a usual one, and `start` replaces a process that differs from it.
        """
        process = workers.worker_of(instance)
        if process is None:
            raise PlatformRefused(f"{instance} is no worker")
        with alone(self.layout):
            _stop(self.layout, lambda each: each.instance == instance)
            usual = self.launch(process, instance)
            what = replace(usual, environment={**usual.environment, **(environment or {})})
            running = processes.launch(what, self.layout, self.identity.platform)
        if wait:
            workers.await_ready([running], self.layout)

    def exit_code(self, instance: str) -> int | None:
        """Return how an instance that this process started has ended (-9 for SIGKILL); None if it is not known."""
        return processes.exit_code(instance, self.layout)

    def launch(self, process: WorkerProcess, instance: str, *, restored: bool = False) -> Launch:
        """Return how to start an instance of a worker on this platform."""
        chosen = workers.choose_ports(process, instance, self.layout, self.identity)
        return workers.launch_of(
            process, instance, chosen, self.layout, self.identity, self.secrets, restored=restored
        )

    def stop_worker(self, *instances_or_workers: str) -> None:
        """Stop single instances (`orders-2`) or every instance of a worker (`orders`); the rest runs on."""
        _stop(self.layout, lambda each: bool(_names(each) & set(instances_or_workers)))

    def status(self) -> tuple[Status, ...]:
        """Return how every process is that runs or should."""
        return status(self.layout.root)

    def _living(self, instance: str) -> Running:
        running = processes.find_living(instance, self.layout)
        if running is None:
            raise PlatformUnavailable(f"{instance} does not run")
        return running


def start(
    state: Path | str,
    only: Iterable[str] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    say: Say = lambda _: None,
    progress: jars.Progress | None = None,
    *,
    restored: bool = False,
) -> Stack:
    """Bring a platform up and return it when everything is ready; a running one is only repaired.

    `only` names the workers to start (none: just Kafka and PostgreSQL); all that exist if it is not given.
    `settings` are kept per worker; an empty one is forgotten again. `restored` is the operator's word that a database
    or topic is older than it was on purpose: workers that refuse otherwise go on from there. It is not kept; the next
    start without it starts them once more. Raises `PlatformRefused` and `PlatformUnavailable`.
    """
    layout = Layout.at(state)
    layout.create()
    with alone(layout):
        wanted = workers.existing() if only is None else tuple(workers.named(each) for each in only)
        identity = _with_settings(Identity.load(layout), settings or {})
        identity.save(layout)
        secrets = Secrets(layout)
        jar_files = infrastructure.fetch_jars(layout, progress)
        identity = infrastructure.choose_ports(layout, identity)
        identity.save(layout)
        say("starting Kafka and PostgreSQL")
        infrastructure.start(layout, identity, secrets, jar_files)
        say("granting each principal its rights")
        access.reconcile_kafka(infrastructure.admin_settings(identity, secrets), secrets)
        access.make_tokens(secrets)
        access.reconcile_databases(infrastructure.clusters(layout, identity, secrets), secrets)
        client_files.write(layout, identity, secrets)
        identity = _choose_worker_ports(wanted, layout, identity)
        identity.save(layout)
        stack = Stack(layout, identity)
        if wanted:
            say("starting " + ", ".join(each.principal for each in wanted))
            _start_workers(wanted, stack, restored=restored)
        return stack


def attach(state: Path | str) -> Stack:
    """Return the platform that runs in a state directory; raise `PlatformUnavailable` if none does."""
    layout = Layout.at(state)
    missing = [name for name in infrastructure.PORTS if processes.find_living(name, layout) is None]
    if not layout.exists or missing:
        raise PlatformUnavailable(f"no platform runs in {layout.root}; start it with: lethe up")
    return Stack(layout, Identity.load(layout))


def stop(state: Path | str, say: Say = lambda _: None) -> int:
    """Stop everything of a platform and return how many processes that were; doing it again changes nothing."""
    layout = Layout.at(state)
    if not layout.exists:
        return 0
    with alone(layout):
        identity = Identity.load(layout)
        stopped = _stop(layout, lambda _: True, say) + processes.sweep(layout, identity.platform)
        for record in layout.run.glob("*.json"):
            record.unlink()
        return stopped


def _start_workers(wanted: Iterable[WorkerProcess], stack: Stack, *, restored: bool) -> None:
    launches = [stack.launch(each, f"{each.principal}-1", restored=restored) for each in wanted]
    started = [infrastructure.ensure(each, stack.layout, stack.identity) for each in launches]
    workers.await_ready(started, stack.layout)


def _choose_worker_ports(wanted: Iterable[WorkerProcess], layout: Layout, identity: Identity) -> Identity:
    for process in wanted:
        instance = f"{process.principal}-1"
        chosen = workers.choose_ports(process, instance, layout, identity)
        identity = identity.with_ports({f"{instance}:{name}": port for name, port in chosen.items()})
    return identity


def _with_settings(identity: Identity, settings: Mapping[str, Mapping[str, str]]) -> Identity:
    merged = {
        name: {
            field: value for field, value in {**identity.settings.get(name, {}), **chosen}.items() if value
        }
        for name, chosen in settings.items()
    }
    return replace(identity, settings={**identity.settings, **merged})


def _names(running: Running) -> set[str]:
    """Return the names by which a worker process can be meant."""
    process = workers.worker_of(running.instance)
    folder = {process.principal, process.module.removeprefix("services.")} if process else set()
    return {running.instance} | folder


def _stop(layout: Layout, chosen: Callable[[Running], bool], say: Say = lambda _: None) -> int:
    """Stop chosen processes: the doors first, Kafka and the databases last."""
    living = [each for each in processes.remembered(layout) if each.alive and chosen(each)]
    for stage in (2, 1, 0, KAFKA, "postgres"):
        group = [each for each in living if _stage(each) == stage]
        if group:
            say("stopping " + ", ".join(each.instance for each in group))
        processes.stop(group, layout, STOP_SECONDS)
    return len(living)


def _stage(running: Running) -> int | str:
    process = workers.worker_of(running.instance)
    if process is not None:
        return process.stage
    return KAFKA if running.instance == KAFKA else "postgres"
