"""What the erasure worker is told from outside."""

from datetime import timedelta

from pydantic import Field, SecretStr

from services.kernel.settings import WorkerSettings


class Settings(WorkerSettings):
    """Common settings, how patient to be, and the key that signs certificates."""

    incomplete_after_seconds: float = Field(default=10.0, gt=0, le=7 * 86_400)
    """How long keyring and owners may take before a request counts as incomplete; it becomes complete later."""
    signing_key: SecretStr
    """Ed25519 private key, PKCS 8 PEM; its public half, and those of earlier ones, are published as a JWK set."""

    @property
    def patience(self) -> timedelta:
        """The same, as the decision wants it."""
        return timedelta(seconds=self.incomplete_after_seconds)
