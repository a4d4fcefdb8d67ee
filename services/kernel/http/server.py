"""uvicorn as one part of a process that has its own signals, logs and health."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from services.kernel.errors import ConfigurationError
from services.kernel.telemetry import log

MOST_CONNECTIONS = 1_000
"""Beyond these the answer is 503 at once: a queue in here would be lost with the process."""
KEEP_ALIVE_SECONDS = 30
FINISH_SECONDS = 15
"""How long requests in hand may take once the process is told to stop."""

_log = log.get(__name__)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process, which stops everything in order."""
        yield


class HttpServer:
    """Serves an ASGI application. Says neither who calls nor what it is: no access log, no server header."""

    def __init__(self, app: Any, host: str, port: int, certificate: tuple[Path, Path] | None = None) -> None:
        """`certificate` names two PEM files, the second one the key; none: without TLS."""
        self.host = host
        self.port = port
        """The chosen one after `start` where 0 was asked for."""
        ssl_certfile, ssl_keyfile = certificate or (None, None)
        config = uvicorn.Config(
            app, lifespan="off", ws="none", interface="asgi3", access_log=False, log_config=None,
            server_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=FINISH_SECONDS,
            ssl_certfile=ssl_certfile, ssl_keyfile=ssl_keyfile,
        )  # fmt: skip
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self._server.started and self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Return when serving; raise `ConfigurationError` where the address or the certificate cannot be had."""
        try:
            self._server.config.load()
        except OSError:
            raise ConfigurationError("certificate-unusable") from None
        listening = self._listen()
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event to wait for
        _log.info("serving http", port=self.port)

    async def stop(self) -> None:
        """Take no new connection, finish the requests in hand, end."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every connection: an answer in two parts must not wait for the first one's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listening.bind((self.host, self.port))
        except OSError:
            listening.close()
            raise ConfigurationError("address-taken", host=self.host, port=self.port) from None
        return listening
