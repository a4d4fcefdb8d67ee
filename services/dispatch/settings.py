"""What dispatch is told from outside."""

from datetime import timedelta

from pydantic import Field

from schemas.topics import PARTNER_LOG
from services.dispatch.domain import Terms
from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """Common settings, and what is laid down about partners."""

    ack_due_days: float = Field(default=7.0, gt=0, le=365)
    """How long a partner has to acknowledge that it erased its copy."""
    revoke_again_hours: float = Field(default=48.0, gt=0, lt=PARTNER_LOG / timedelta(hours=1))
    """How soon an unacknowledged revocation is sent again: before Kafka drops it."""
    retry_held_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """How soon a held shipment looks for an agreement again."""

    @property
    def terms(self) -> Terms:
        """The same, as the decision wants them."""
        return Terms(
            retry_held=timedelta(seconds=self.retry_held_seconds),
            acknowledge_within=timedelta(days=self.ack_due_days),
            revoke_again=timedelta(hours=self.revoke_again_hours),
        )
