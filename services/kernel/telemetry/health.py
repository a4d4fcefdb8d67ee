"""Liveness, readiness and metrics of one process, over HTTP for probes and scrapers.

Hand-made on asyncio: three fixed answers need no framework, no signal handlers and no access log.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.kernel.telemetry import metrics

Probe = Callable[[], bool | str]
"""True means yes; False, or a code that says why, means no."""

HEAD_BYTES = 8 * 1024
"""A longer request head is refused."""
READ_SECONDS = 5.0
"""Who does not finish asking by then is hung up on."""
_THE_CALLERS_FAULT = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


class Health:
    """Serves `/live`, `/ready` (200 or 503) and `/metrics` until stopped.

    Port 0 lets the system choose; `port` tells after `start`. A probe that raises counts as no: fail closed.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        live: Probe = lambda: True,
        ready: Probe = lambda: True,
        registry: CollectorRegistry = metrics.REGISTRY,
    ) -> None:
        self.host = host
        self.port = port
        self._live = live
        self._ready = ready
        self._registry = registry
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises `OSError` when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more; idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def __aenter__(self) -> "Health":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever hangs up, stalls or sends too much harms this connection only.
        with contextlib.suppress(*_THE_CALLERS_FAULT):
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, _, rest = head.partition(b" ")
                _write(writer, method, self._answer(method, rest.partition(b" ")[0]))
                await writer.drain()
        writer.close()

    def _answer(self, method: bytes, target: bytes) -> _Answer:
        if method not in (b"GET", b"HEAD"):
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"")
        match target.partition(b"?")[0]:
            case b"/live":
                return _probed(self._live, "live")
            case b"/ready":
                answer = _probed(self._ready, "ready")
                metrics.READY.set(answer.status == HTTPStatus.OK)
                return answer
            case b"/metrics":
                return _Answer(HTTPStatus.OK, generate_latest(self._registry), CONTENT_TYPE_LATEST)
            case _:
                return _Answer(HTTPStatus.NOT_FOUND, b"")


def _probed(probe: Probe, word: str) -> _Answer:
    try:
        said = probe()
    except Exception:  # noqa: BLE001 - a probe that cannot tell has not said yes
        said = "probe-failed"
    if said is True:
        return _Answer(HTTPStatus.OK, f"{word}\n".encode())
    why = f": {said}" if said else ""
    return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"not {word}{why}\n".encode())


def _write(writer: asyncio.StreamWriter, method: bytes, answer: _Answer) -> None:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + (b"" if method == b"HEAD" else answer.body))
