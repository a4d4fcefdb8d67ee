"""The HTTP server of the keyring's process: uvicorn without its own signals, logs and exits."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from services.kernel.errors import ConfigurationError
from services.kernel.telemetry import log
from services.keyring.settings import Settings

STOP_SECONDS = 5.0
_log = log.get("keyring-api")


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when connections are taken."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process, which has loops to finish."""
        yield


class HttpServer:
    """A part of the keyring's process."""

    def __init__(self, settings: Settings, app: Any) -> None:
        settings.check_transport()
        self._settings = settings
        self._app = app
        self._server: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = settings.http_port

    @property
    def ready(self) -> bool:
        """Whether it listens."""
        serving = self._task is not None and not self._task.done()
        return serving and self._server is not None and self._server.started

    async def start(self) -> None:
        """Listen; raises `ConfigurationError` where the port cannot be had."""
        settings = self._settings
        try:
            listening = socket.create_server((settings.http_host, settings.http_port), backlog=256)
        except OSError:
            raise ConfigurationError("port-taken", port=settings.http_port) from None
        # asyncio does so only for sockets it made itself; without it every answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listening.getsockname()[1]
        self._server = _Uvicorn(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                ws="none",
                interface="asgi3",
                timeout_keep_alive=60,
                timeout_graceful_shutdown=int(STOP_SECONDS),
                ssl_certfile=settings.http_certificate,
                ssl_keyfile=settings.http_certificate_key,
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.up.wait()
        _log.info("listening", host=settings.http_host, port=self.port)

    async def stop(self) -> None:
        """Finish the answers in hand."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.wait([self._task], timeout=2 * STOP_SECONDS)
            self._task.cancel()
