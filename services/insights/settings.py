"""What insights is told from outside."""

from pydantic import Field

from schemas.clicks import CROWD, LEAST_CROWD, Kind
from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """The common settings, where to listen, and what the page says about how it was counted."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    """0 lets the system choose."""
    crowd: int = Field(default=CROWD, ge=LEAST_CROWD)
    """What the gateway and the clickstream worker were told: here it is only said, not applied."""
    hourly: frozenset[Kind] = frozenset()
    """Kinds that are counted by the hour, as a JSON array; likewise."""
    sign_ins_per_minute: int = Field(default=10, ge=1, le=1_000)
    """Attempts to sign in from one address; behind a proxy that is everybody's address."""
