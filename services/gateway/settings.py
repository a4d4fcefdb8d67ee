"""What the gateway is told from outside."""

from pathlib import Path

from pydantic import Field

from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """The common settings, where to listen, and which keys verify certificates."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    """0 lets the system choose."""
    certificate_keys: Path | None = None
    """JWK set with the public keys of certificates, retired ones included; read again when it changes."""
