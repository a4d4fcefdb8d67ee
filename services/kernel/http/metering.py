"""Answers counted by route template, status and time; never by what was asked."""

from functools import lru_cache
from typing import Any

from services.kernel.telemetry import metrics


def note(route: str, status: int, seconds: float) -> None:
    """Count one answer."""
    _counter(route, status).inc()
    _timer(route).observe(seconds)


@lru_cache(maxsize=1_000)
def _counter(route: str, status: int) -> Any:
    return metrics.HTTP_REQUESTS.labels(route=route, status=str(status))


@lru_cache(maxsize=100)
def _timer(route: str) -> Any:
    return metrics.HTTP_SECONDS.labels(route=route)
