"""Kafka's jars: fetched once from a Maven repository, each pinned by its SHA-256 in `jars.lock`.

Only the artifacts named in the lock are fetched and put on the class path; nothing is resolved at set-up time.
They are kept in `.cache/jars` of the checkout, so that several state directories share one download; where the
checkout cannot be written to, in the state directory itself.
"""

import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import PlatformRefused, PlatformUnavailable

LOCK = Path(__file__).with_name("jars.lock")
CHECKOUT = Path(__file__).parents[2]
MIRROR = "LETHE_MAVEN_REPOSITORY"
"""Environment variable with the URL of a Maven repository to use instead of Maven Central."""
DOWNLOADS_AT_ONCE = 8

Progress = Callable[[int, int, int], None]
"""Called with jars fetched, jars wanted, bytes fetched so far."""


@dataclass(frozen=True)
class Jar:
    """One artifact of a Maven repository and the digest that it must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """Return the pinned jars: one line `group:artifact:version sha256` each."""
    lines = (line.replace(":", " ").split() for line in path.read_text("utf-8").splitlines() if line.strip())
    return tuple(Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in lines)


def choose_cache(state: Path, checkout: Path = CHECKOUT, lock: Iterable[Jar] | None = None) -> Path:
    """Return where the jars are or belong: the checkout's cache if it is complete or can be written to."""
    shared, own = checkout / ".cache" / "jars", state / "jars"
    jars = read_lock() if lock is None else tuple(lock)
    if all((shared / jar.file_name).exists() for jar in jars):
        return shared
    is_checkout = (checkout / "pyproject.toml").exists()
    writable = os.access(shared if shared.exists() else checkout, os.W_OK)
    return shared if is_checkout and writable else own


def ensure(
    cache: Path, jars: Iterable[Jar] | None = None, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Return the paths of all pinned jars, each verified now; fetch what is missing.

    Raises `PlatformRefused` where a digest differs (a fetched file is thrown away, a cached one is left for
    inspection) and `PlatformUnavailable` where the repository cannot be reached.
    """
    wanted = read_lock() if jars is None else tuple(jars)
    present = [jar for jar in wanted if (cache / jar.file_name).exists()]
    for jar in present:
        _check(cache / jar.file_name, jar)
    missing = [jar for jar in wanted if jar not in present]
    if missing:
        _fetch(cache, missing, progress or (lambda *_: None))
    return tuple(cache / jar.file_name for jar in wanted)


def _fetch(cache: Path, missing: list[Jar], progress: Progress) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    # A directory of its own, so that an interrupted download never looks like a cached jar.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:
        fetched = fetched_bytes = 0
        progress(0, len(missing), 0)
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            downloads = {pool.submit(_download, Path(folder), jar): jar for jar in missing}
            try:
                for download in as_completed(downloads):
                    path, jar = download.result(), downloads[download]
                    _check(path, jar)
                    fetched, fetched_bytes = fetched + 1, fetched_bytes + path.stat().st_size
                    path.replace(cache / jar.file_name)
                    progress(fetched, len(missing), fetched_bytes)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _download(folder: Path, jar: Jar) -> Path:
    """Fetch one artifact with jgo's Maven client, its own cache confined to `folder`."""
    import requests
    from jgo.maven import MavenContext

    logging.getLogger("jgo").setLevel(logging.ERROR)
    mirror = os.environ.get(MIRROR)
    maven = MavenContext(
        repo_cache=folder, remote_repos={"mirror": mirror.rstrip("/")} if mirror else None, timeout=60
    )
    try:
        component = maven.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact().resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        shutil.rmtree(folder / jar.group.replace(".", "/"), ignore_errors=True)
        raise PlatformUnavailable(
            f"could not fetch {jar.group}:{jar.artifact}:{jar.version} ({type(error).__name__}); "
            f"check the network, or name a mirror in {MIRROR}"
        ) from None


def _check(path: Path, jar: Jar) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != jar.sha256:
        raise PlatformRefused(
            f"{path} is not the pinned {jar.group}:{jar.artifact}:{jar.version}: "
            f"SHA-256 {actual}, expected {jar.sha256}; it was not used. Delete the file to fetch it again."
        )


def main() -> None:
    """Fetch what is missing into the checkout's cache: the part of set-up that needs the network."""

    def show(done: int, wanted: int, size_bytes: int) -> None:
        end = "\n" if done == wanted else ""
        print(f"\rKafka: {done}/{wanted} jars, {size_bytes / 1e6:.1f} MB", end=end, flush=True)  # noqa: T201

    try:
        ensure(choose_cache(CHECKOUT / ".lethe"), progress=show)
    except (PlatformRefused, PlatformUnavailable) as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
