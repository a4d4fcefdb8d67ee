"""What the gateway is told from outside."""

from pathlib import Path

from pydantic import Field, IPvAnyNetwork

from schemas.clicks import CROWD, LEAST_CROWD, Kind
from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """The common settings, where to listen, and which keys verify certificates."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    """0 lets the system choose."""
    certificate_keys: Path | None = None
    """JWK set with the public keys of certificates, retired ones included; read again when it changes."""
    crowd: int = Field(default=CROWD, ge=LEAST_CROWD)
    """So many different visitors make a crowd; the same for the gateway and the clickstream worker."""
    hourly: frozenset[Kind] = frozenset()
    """Kinds of statistics that are counted by the hour, as a JSON array; all others by the day."""
    flush_seconds: float = Field(default=3_600.0, gt=0, le=3_600)
    """How long the pages of a crowd wait to be shuffled with others; shorter ones tell more of who went where next."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Networks of the proxies whose `X-Forwarded-For` is believed, as a JSON array; none: who connects is who calls."""
