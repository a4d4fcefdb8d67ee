"""Answers counted by route template, status and time; never by what was asked."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from services.kernel.telemetry import metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


async def status_of(app: App, scope: MutableMapping[str, Any], receive: Receive, send: Send, log: Any) -> int:
    """Let an application answer and return the status; nothing comes out of it but a line in the log."""
    status = 0

    async def heard(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        await send(message)

    try:
        await app(scope, receive, heard)
    except Exception as error:
        log.error("request failed", exc_info=error)
    return status


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
