"""What the clickstream worker is told from outside."""

from datetime import timedelta

from pydantic import Field

from schemas.clicks import CROWD, LEAST_CROWD, Kind
from services.clickstream.domain import Rules
from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """Common settings, and how much of a crowd may be told."""

    crowd: int = Field(default=CROWD, ge=LEAST_CROWD, le=10_000)
    """So many visitors make a crowd; every published number is a multiple of it. The gateway has the same setting."""
    grace_seconds: float = Field(default=600.0, ge=0, le=86_400)
    """How long after its end a window still waits for what gateways hold back: longer than their clocks differ."""
    kinds: frozenset[Kind] = frozenset(Kind)
    """What is published, as a JSON array of kinds; cells of any other kind are dropped and counted."""

    @property
    def rules(self) -> Rules:
        """The same, as the decisions want them."""
        return Rules(self.crowd, timedelta(seconds=self.grace_seconds), self.kinds)
