"""What the orders worker is told from outside."""

from datetime import timedelta

from pydantic import Field

from services.kernel.settings import WorkerSettings
from services.orders.domain import Terms


class Settings(WorkerSettings):
    """Common settings and the terms of the shop and the law."""

    returns_window_days: float = Field(default=14.0, ge=0, le=3_650)
    """How long after delivery something may be returned; the order closes when it ends."""
    statutory_years: int = Field(default=10, ge=0, le=100)
    """How many full calendar years an invoice is kept after the year of its payment."""

    @property
    def terms(self) -> Terms:
        """The same, as the decision wants them."""
        return Terms(timedelta(days=self.returns_window_days), self.statutory_years)
