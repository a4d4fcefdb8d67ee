"""What the recommendations worker is told from outside."""

from pydantic import Field, SecretStr

from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """Common settings without a database: whoever starts every worker alike may name one, nobody asks it."""

    database_port: int = 0
    database_name: str = ""
    database_password: SecretStr = SecretStr("")
    quiet_seconds: float = Field(default=1.0, ge=0.05, le=60)
    """How long a shop's numbers rest before lists are made of them; sixty times as long at most while they change."""
    rebuild: bool = False
    """Read every statistic again that Kafka still has, from the earliest on. What is known already stays known."""
