"""The state directory: where everything of one platform lives, and what it remembers of itself."""

import base64
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.local.errors import PlatformRefused

FORMAT = 1
"""Version of the state directory's layout; another one is refused rather than guessed at."""
CLUSTERS = ("data", "keyring")


@dataclass(frozen=True)
class Layout:
    """The places inside one state directory."""

    root: Path

    @classmethod
    def at(cls, state: Path | str) -> "Layout":
        return cls(Path(state).expanduser().resolve())

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def keks(self) -> Path:
        return self.root / "keks"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def client(self) -> Path:
        return self.root / "client"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def exists(self) -> bool:
        return (self.root / "platform.json").exists()

    def create(self) -> None:
        """Make the folders, for their owner only; refuse another user's directory."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.root.stat().st_uid != os.getuid():
            raise PlatformRefused(f"{self.root} belongs to another user; choose another state directory")
        for name in FOLDERS:
            (self.root / name).mkdir(exist_ok=True, mode=0o700)

    def log(self, instance: str) -> Path:
        return self.logs / f"{instance}.log"

    def cluster(self, name: str) -> Path:
        return self.postgres / name


FOLDERS = ("kafka", "postgres", "secrets", "keks", "run", "logs", "client", "tmp")


@dataclass(frozen=True)
class Identity:
    """What a platform remembers between starts; holds no secret."""

    platform: str
    """Kafka's cluster id, which also marks every process of this platform."""
    ports: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Settings per worker that its owner chose, kept so that a repair starts the same worker."""

    @classmethod
    def load(cls, layout: Layout) -> "Identity":
        """Return the stored identity, or a new one where none is stored."""
        path = layout.root / "platform.json"
        if not path.exists():
            return cls(new_platform_id())
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if stored["format"] != FORMAT:
            raise PlatformRefused(f"{layout.root} has layout {stored['format']}, this version knows {FORMAT}")
        return cls(stored["platform"], stored["ports"], stored["settings"])

    def save(self, layout: Layout) -> None:
        content = {
            "format": FORMAT,
            "platform": self.platform,
            "ports": self.ports,
            "settings": self.settings,
        }
        write_whole(layout.root / "platform.json", json.dumps(content, indent=2) + "\n")

    def with_ports(self, ports: Mapping[str, int]) -> "Identity":
        return replace(self, ports={**self.ports, **ports})


def new_platform_id() -> str:
    """Return 128 random bits in the 22 characters that Kafka asks for; it refuses a leading dash."""
    while True:
        platform = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not platform.startswith("-"):
            return platform


def write_whole(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees all of it or the one before; never readable in between."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    part.replace(path)
