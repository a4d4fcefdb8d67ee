"""The keyring as a worker's process asks it: one client, measured."""

from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.settings import WorkerSettings
from services.kernel.telemetry import metrics


def keyring_of(settings: WorkerSettings) -> HttpKeyring:
    """Return the client of these settings; whoever asks for it closes it."""
    return HttpKeyring(
        settings.keyring_url, settings.keyring_token, authority=settings.keyring_authority, observe=_observe
    )


def _observe(call: str, seconds: float) -> None:
    metrics.KEYRING_SECONDS.labels(call=call).observe(seconds)
