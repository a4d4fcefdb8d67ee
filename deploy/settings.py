"""The settings of Kafka, PostgreSQL and the workers, for whatever starts them.

The embedded platform and `docker-compose.yml` differ only in addresses, paths and who starts a process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Largest record batch a broker takes: a 256 KiB event is about 1 MiB once padded and sealed."""

STOP_SECONDS = 30
"""A process that was asked to stop is left so long before it is killed: a worker answers what is in hand (15 s), and
the gateway lets its crowds leave (12 s)."""

KAFKA: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    # SCRAM credentials live in the log that the controllers serve, so SCRAM cannot guard their own listener.
    "sasl.mechanism.controller.protocol": "PLAIN",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin",
    "allow.everyone.if.no.acl.found": "false",
    "auto.create.topics.enable": "false",
    # Retention and segments follow the broker's clock: a sender's old time stamp must not keep a segment open.
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": str(MAX_EVENT_BYTES),
    "replica.fetch.max.bytes": str(MAX_EVENT_BYTES),
    # An outbox position lives in a group without members; it must outlast the longest stop.
    "offsets.retention.minutes": str(30 * 24 * 60),
    "default.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
}
"""What every broker of ours is told; one broker that is also its controller."""

POSTGRES: Mapping[str, str] = {
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_wal_senders": "2",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    # A statement, its parameters and an error's text or detail can hold a value; none of them reaches the log.
    # The level `log` lies above `error`: starts, stops and fatal errors are logged, failed statements are not.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
}
"""What every cluster is told. `fsync` and `synchronous_commit` stay on: a commit is a promise."""


def sasl_jaas(mechanism: str, username: str, password: str, *, users: Mapping[str, str] | None = None) -> str:
    """Return a JAAS line for a listener; `users` are those that a PLAIN listener accepts."""
    module = {
        "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
        "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    }[mechanism]
    accepted = "".join(f' user_{name}="{secret}"' for name, secret in (users or {}).items())
    return f'{module} required username="{username}" password="{password}"{accepted};'


@dataclass(frozen=True)
class WorkerProcess:
    """How one worker is started: its principal, its code and its database."""

    principal: str
    module: str
    cluster: str = "data"
    database: str = "lethe"
    stage: int = 1
    """Lower ones are started first and stopped last."""
    serves_http: bool = False
    runs_loop: bool = True
    """Whether it runs the kernel's loop, and so keeps positions, endings, dead letters; Faust does not."""
    secrets: tuple[str, ...] = ()
    """Secret files beyond the passwords and the keyring token."""

    @property
    def exists(self) -> bool:
        """Whether its code is installed."""
        try:
            return find_spec(f"{self.module}.__main__") is not None
        except ModuleNotFoundError:
            return False


PROCESSES = (
    WorkerProcess(
        "keyring", "services.keyring", "keyring", "keyring",
        stage=0, serves_http=True, secrets=("signing_key", "keyring_tokens"),
    ),
    WorkerProcess("erasure", "services.erasure", secrets=("signing_key",)),
    WorkerProcess("orders", "services.orders"),
    WorkerProcess("carriers", "services.dispatch"),
    WorkerProcess("clickstream", "services.clickstream"),
    WorkerProcess("recommendations", "services.recommendations", runs_loop=False),
    WorkerProcess("insights", "services.insights", stage=2, serves_http=True),
    WorkerProcess("gateway", "services.gateway", stage=2, serves_http=True),
)  # fmt: skip
"""Every worker, in the order of starting; stopped by descending stage, so that nothing new comes in first."""
TOGETHER: Mapping[str, tuple[str, ...]] = {"clicks": ("gateway", "clickstream", "insights")}
"""Names that stand for several workers where settings are given: a crowd must mean the same number to all of them."""
LOCAL_SESSION_TIMEOUT_SECONDS = 8
"""How soon the partitions of a killed worker go to another one, on one machine."""


def process_of(worker: str) -> WorkerProcess:
    """Return the process of a worker by its principal or by the name of its folder; raise `KeyError`."""
    for process in PROCESSES:
        if worker in (process.principal, process.module.removeprefix("services.")):
            return process
    raise KeyError(worker)


@dataclass(frozen=True)
class Addresses:
    """Where a worker finds the rest of the platform."""

    kafka: str
    database_host: str
    database_port: int
    keyring_url: str


def worker_environment(
    process: WorkerProcess, instance: str, at: Addresses, *, secrets: str, health_port: int,
    http: tuple[str, int] | None = None, keks: str = "", more: Mapping[str, str] | None = None,
) -> dict[str, str]:  # fmt: skip
    """Return the environment of one worker process: addresses and names, never a secret."""
    environment = {
        "LETHE_PRINCIPAL": process.principal,
        "LETHE_INSTANCE": instance,
        "LETHE_SECRETS": secrets,
        "LETHE_KAFKA": at.kafka,
        "LETHE_DATABASE_HOST": at.database_host,
        "LETHE_DATABASE_PORT": str(at.database_port),
        "LETHE_DATABASE_NAME": process.database,
        "LETHE_KEYRING_URL": at.keyring_url,
        "LETHE_HEALTH_PORT": str(health_port),
    }
    if http is not None:
        environment |= {"LETHE_HTTP_HOST": http[0], "LETHE_HTTP_PORT": str(http[1])}
    if process.principal == "keyring":
        environment["LETHE_KEK_DIRECTORY"] = keks
    return environment | {f"LETHE_{name.upper()}": value for name, value in (more or {}).items()}
