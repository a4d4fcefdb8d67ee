"""A thief: copies the keyring's whole database and its key files aside, and later tries what they still open.

A copy is made as a backup is made, with `pg_basebackup`; to read it, a server is started on it. Whoever owns the files
of a database owns what is in them, so the copy is opened with the administrator's password here.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import ports, processes, stack
from deploy.local.layout import Layout, write_whole
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import Cluster
from schemas.privacy import Category
from services.demo.waiting import until
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.keys import KeyRef
from services.keyring.wrapping import Bound, Kek

START_SECONDS = 30.0
_WRAPPED = """
    SELECT kid, subject, category, scope, kek_version, encode(wrapped, 'hex') AS wrapped
    FROM keyring.data_key WHERE wrapped IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A row of the keyring: a data key under a KEK."""

    kid: str
    ref: KeyRef
    version: int
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A KEK's file."""

    category: str
    version: int
    material: bytes


@dataclass(frozen=True)
class Loot:
    """What was taken: every wrapped key of the copied database, and the KEK files of that moment."""

    keys: tuple[WrappedKey, ...]
    files: tuple[KeyFile, ...]


def steal(platform: stack.Stack, into: Path) -> Loot:
    """Copy the keyring's database and KEK files aside, and read the copied database with a server of its own."""
    layout = Layout.at(into)
    layout.create()
    files = key_files(platform)
    _copy_database(platform, layout)
    copy = Cluster(
        "keyring", layout, platform.secrets, ports.choose(["postgres-keyring"], {})["postgres-keyring"]
    )
    with _served(copy, layout):
        return Loot(wrapped_keys(copy), files)


def key_files(platform: stack.Stack) -> tuple[KeyFile, ...]:
    """Return the KEK files that exist now."""
    return tuple(_key_file(path) for path in sorted(platform.layout.keks.glob("*.kek")))


def wrapped_keys(cluster: Cluster) -> tuple[WrappedKey, ...]:
    """Return every key that is not destroyed, wrapped as it lies in a database."""
    lines = cluster.run_sql(_WRAPPED, "keyring").splitlines()
    return tuple(_wrapped_key(line.split("|")) for line in lines if line)


def unwrapped(keys: Iterable[WrappedKey], files: Sequence[KeyFile]) -> dict[str, bytes]:
    """Return the data keys by id that any of the files opens, under whatever name and version it is tried."""
    found = {}
    for key in keys:
        for file in files:
            material = _unwrapped(key, file)
            if material is not None:
                found[key.kid] = material
    return found


def _unwrapped(key: WrappedKey, file: KeyFile) -> bytes | None:
    # The name that the row expects, so that only the bytes of the file decide.
    kek = Kek(key.ref.category, key.version, file.material)
    try:
        return kek.unwrap(key.wrapped, Bound(key.kid, key.ref, key.version))
    except RejectedRecord:
        return None


def _copy_database(platform: stack.Stack, layout: Layout) -> None:
    cluster = platform.clusters["keyring"]
    program = Path(cluster.launch().argv[-3]).with_name("pg_basebackup")
    passwords = layout.secrets / "pgpass"
    write_whole(passwords, f"{LOOPBACK}:{cluster.port}:*:admin:{cluster.password}\n")
    folder = layout.cluster("keyring")
    address = f"host={LOOPBACK} port={cluster.port} user=admin passfile={passwords}"
    command = [
        str(program),
        "-d",
        address,
        "-D",
        str(folder),
        "-X",
        "fetch",
        "--checkpoint=fast",
        "--no-sync",
    ]
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=layout.root)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError("pg_basebackup did not copy the keyring's database")
    folder.chmod(0o700)
    # Tells `Cluster.prepare` that there is a cluster already.
    (layout.postgres / "keyring.made").touch(mode=0o600)


@contextmanager
def _served(cluster: Cluster, layout: Layout) -> Iterator[None]:
    (layout.secrets / "admin").mkdir(exist_ok=True, mode=0o700)
    cluster.prepare()
    running = processes.launch(cluster.launch(), layout, "lethe-demo-thief")
    try:
        _await(cluster)
        yield
    finally:
        processes.stop([running], layout, START_SECONDS)


def _await(cluster: Cluster) -> None:
    if not until(cluster.answers, START_SECONDS):
        raise RuntimeError("no server could be started on the copied database")


def _key_file(path: Path) -> KeyFile:
    category, _, version = path.stem.rpartition(".")
    return KeyFile(category, int(version), path.read_bytes())


def _wrapped_key(row: Sequence[str]) -> WrappedKey:
    kid, subject, category, scope, version, wrapped = row
    return WrappedKey(kid, KeyRef(subject, Category(category), scope), int(version), bytes.fromhex(wrapped))
