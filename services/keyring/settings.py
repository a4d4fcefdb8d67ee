"""What the keyring is told from outside."""

import ipaddress
from datetime import timedelta
from pathlib import Path

from pydantic import Field, Json, SecretStr

from services.kernel.errors import ConfigurationError
from services.kernel.settings import WorkerSettings

MOST_OPENINGS_PER_SECOND = 20_000


class Settings(WorkerSettings):
    """The common settings, where KEKs are, who may call, and how often KEKs change."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    """0 lets the system choose."""
    http_certificate: Path | None = None
    http_certificate_key: Path | None = None
    """PEM files. Off the loopback keys travel under TLS only."""
    http_private_network: bool = False
    """The operator's word that nobody else can listen on the network between workers and keyring."""
    kek_directory: Path
    """One file per KEK version, mode 0600; never in the same backup as the database."""
    keyring_tokens: Json[dict[str, str]]
    """Secret file: SHA-256 of each principal's token, in hexadecimal."""
    signing_key: SecretStr
    """Secret file: PEM (PKCS 8) Ed25519 key for the statements about what was destroyed."""
    kek_rotation_seconds: float = Field(default=timedelta(days=7).total_seconds(), gt=0)
    """Age at which a KEK version is replaced; twice this is how long a destroyed key may lie in backups."""
    expiry_seconds: float = Field(default=60.0, gt=0)
    """How often ended grounds are looked for."""
    opening_limits: dict[str, float] = Field(default_factory=dict)
    """Keys per second that a principal may open; more is refused with 429 (a stolen token reads slowly)."""

    def openings_per_second(self, principal: str) -> float:
        """Return the limit of one principal."""
        return self.opening_limits.get(principal, MOST_OPENINGS_PER_SECOND)

    def certificate(self) -> tuple[Path, Path] | None:
        """Return what keys travel under: certificate and key, or nothing where nobody else can listen.

        Raises `ConfigurationError` where they would travel in clear over a network that others may listen on.
        """
        if self.http_certificate and self.http_certificate_key:
            return self.http_certificate, self.http_certificate_key
        if not (_loopback(self.http_host) or self.http_private_network):
            raise ConfigurationError("tls-required", host=self.http_host)
        return None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
