"""Where key-encrypting keys live. A file each on one machine; a KMS or Vault implements the same four verbs.

The files are the one thing that a thief of the database lacks. Whoever backs up this directory keeps every
destroyed key of that day readable until the copy is gone too: back it up apart from the database, briefly.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from services.kernel.errors import ConfigurationError
from services.kernel.sealing.keys import KEY_BYTES
from services.keyring.wrapping import Kek


class KekProvider(Protocol):
    """Keeps KEK versions. Calls may block; a created version must survive a power cut."""

    def create(self, category: str, version: int) -> Kek:
        """Make a new random version durable and return it; raise `FileExistsError` for one that exists."""

    def load(self, category: str, version: int) -> Kek:
        """Return a version; raise `ConfigurationError("kek-missing")` when there is none."""

    def destroy(self, category: str, version: int) -> None:
        """Destroy a version; nothing happens when it is gone already."""

    def versions(self) -> frozenset[tuple[str, int]]:
        """Return every version that exists."""


class KekFiles:
    """The versions in a directory, for who only reads them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, category: str, version: int) -> Kek:
        """Read the version's file."""
        try:
            return Kek(category, version, self._file(category, version).read_bytes())
        except FileNotFoundError:
            raise ConfigurationError("kek-missing", category=category, version=version) from None

    def versions(self) -> frozenset[tuple[str, int]]:
        """Return what the file names say."""
        names = (path.stem.rpartition(".") for path in self._path.glob("*.kek"))
        return frozenset((category, int(version)) for category, _, version in names)

    def _file(self, category: str, version: int) -> Path:
        return self._path / f"{category}.{version}.kek"


class KekDirectory(KekFiles):
    """One file of mode 0600 per version in a directory of mode 0700."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            raise ConfigurationError("kek-directory-readable-by-others")
        for leftover in path.glob("*.new"):
            leftover.unlink(missing_ok=True)  # never in use: only a version with a name is

    def create(self, category: str, version: int) -> Kek:
        """Write, sync, then give the file its name: it is there completely or not at all."""
        material = secrets.token_bytes(KEY_BYTES)
        final = self._file(category, version)
        draft = final.with_name(f"{final.name}.{secrets.token_hex(4)}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, material)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # A link, unlike a rename, never replaces a version that some row may need.
            os.link(draft, final)
        finally:
            draft.unlink()
            self._sync()
        return Kek(category, version, material)

    def destroy(self, category: str, version: int) -> None:
        """Overwrite, remove, and make the removal durable.

        Journals and flash storage may keep the overwritten block: put the directory on storage that is
        encrypted or holds nothing else.
        """
        _shred(self._file(category, version))
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Keks:
    """The KEK versions in this process's memory: loaded when first needed, forgotten when destroyed."""

    def __init__(self, provider: KekProvider) -> None:
        self.provider = provider
        self._loaded: dict[tuple[str, int], Kek] = {}

    def get(self, category: str, version: int) -> Kek:
        """Return a version; `ConfigurationError` when the provider has it not (any more)."""
        if (category, version) not in self._loaded:
            self._loaded[category, version] = self.provider.load(category, version)
        return self._loaded[category, version]

    def check(self, category: str, version: int, thumbprint: str) -> None:
        """Refuse a key of this name that is not the one the database was filled with."""
        if self.get(category, version).thumbprint != thumbprint:
            raise ConfigurationError("kek-differs", category=category, version=version)

    def keep_only(self, living: Iterable[tuple[str, int]]) -> None:
        """Forget every version but these: another instance may have destroyed some."""
        kept = set(living)
        self._loaded = {name: kek for name, kek in self._loaded.items() if name in kept}


def _shred(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
