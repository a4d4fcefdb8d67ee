"""Copies of a platform's databases, taken while it runs as an operator takes a backup, and their way back."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local import stack as platforms
from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import write_whole
from deploy.local.stack import Stack
from tests.fixtures.evidence import WORKERS, await_


@dataclass(frozen=True)
class Backup:
    """One cluster as it was; of the keyring also its KEK files."""

    cluster: str
    folder: Path

    @classmethod
    def take(cls, stack: Stack, cluster: str, into: Path) -> "Backup":
        """Copy a running cluster with PostgreSQL's own tool."""
        backup = cls(cluster, into / f"{cluster}-{len(list(into.iterdir()))}")
        backup.folder.mkdir()
        server = stack.clusters[cluster]
        passwords = backup.folder / "passwords"
        write_whole(passwords, f"127.0.0.1:{server.port}:*:admin:{server.password}\n")
        address = f"host=127.0.0.1 port={server.port} user=admin passfile={passwords}"
        program = Path(server.launch().argv[-3]).with_name("pg_basebackup")
        command = [str(program), "-d", address, "-D", str(backup.files), "-X", "fetch"]
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        subprocess.run(
            [*command, "--checkpoint=fast", "--no-sync"], check=True, env=environment, capture_output=True
        )
        if cluster == "keyring":
            shutil.copytree(stack.layout.keks, backup.keks)
        return backup

    @property
    def files(self) -> Path:
        return self.folder / "cluster"

    @property
    def keks(self) -> Path:
        return self.folder / "keks"

    def put_back(self, stack: Stack) -> None:
        """Stop every worker and the cluster, and put the copy in its place; nothing is started."""
        stop_workers(stack)
        stack.kill(f"postgres-{self.cluster}", signal.SIGINT)
        await_("the cluster has stopped", lambda: not _lives(stack, f"postgres-{self.cluster}"))
        folder = stack.layout.cluster(self.cluster)
        shutil.rmtree(folder)
        shutil.copytree(self.files, folder)
        folder.chmod(0o700)

    def names_a_kek_of(self, stack: Stack) -> bool:
        """Whether a KEK file of that time is still there."""
        return any((stack.layout.keks / each.name).exists() for each in self.keks.iterdir())

    def put_back_keks(self, stack: Stack) -> None:
        """Put the KEK files of that time beside those of today; the keyring must not run."""
        shutil.copytree(self.keks, stack.layout.keks, dirs_exist_ok=True)


def stop_workers(stack: Stack) -> None:
    """Stop every worker in order."""
    stack.stop_worker(*WORKERS)


def refused(stack: Stack, worker: str) -> str:
    """Start one worker and return why it refused; empty if it serves."""
    try:
        platforms.start(stack.state, only=(worker,))
    except PlatformUnavailable as error:
        return str(error)
    return ""


def _lives(stack: Stack, instance: str) -> bool:
    try:
        stack.pid(instance)
    except PlatformUnavailable:
        return False
    return True
