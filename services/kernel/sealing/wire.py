"""The way to the keyring: kept connections, one plain exchange at a time, no machinery of a general HTTP client.

Every event of the gateway and every label of dispatch waits for such a call, and a general client costs several times
what the call itself does. This one speaks to one peer that answers with a length, as the keyring does.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from services.kernel.errors import ConfigurationError, KeyringUnavailable

HEAD_BYTES = 16 * 1024
MOST_IDLE = 16

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wire(Protocol):
    """How questions reach the keyring."""

    async def post(self, path: str, content: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer; raise `KeyringUnavailable` where there is none, or no readable one."""

    async def close(self) -> None:
        """Hang up."""


class KeptConnections:
    """A `Wire` to `http://` or `https://`; over the latter the peer's certificate and name are checked."""

    def __init__(
        self, url: str, headers: Mapping[str, str], seconds: float, authority: Path | None = None
    ) -> None:
        """`authority` is a PEM file that vouches for the peer's certificate; without it the system's do.

        Raises `ConfigurationError` for a URL that is none and a file that holds no certificate.
        """
        try:
            parts = urlsplit(url)
            self._host, self._port = (
                parts.hostname or "",
                parts.port or {"http": 80, "https": 443}[parts.scheme],
            )
        except (ValueError, KeyError):
            raise ConfigurationError("keyring-url") from None
        self._tls = _tls(authority) if parts.scheme == "https" else None
        lines = {"host": parts.netloc, **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("ascii")
        self._seconds = seconds
        self._idle: deque[_Connection] = deque()

    async def post(self, path: str, content: bytes) -> tuple[int, bytes]:
        """Exchange one request for one answer, in time."""
        request = b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (
            path.encode("ascii"), self._head, len(content), content,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(request)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            raise KeyringUnavailable("keyring-unreachable") from None

    async def close(self) -> None:
        """Close what is idle; a call in flight closes its own."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._once(connection, request)
            except (ConnectionError, asyncio.IncompleteReadError):
                # The peer hung up on an idle connection: another one may work. A key minted twice is used once.
                continue
        connection = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=HEAD_BYTES)
        return await self._once(connection, request)

    async def _once(self, connection: _Connection, request: bytes) -> tuple[int, bytes]:
        reader, writer = connection
        whole = False
        try:
            if writer.is_closing():
                # uvloop would raise `RuntimeError`, asyncio would write into the void.
                raise ConnectionResetError
            writer.write(request)
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(headers["content-length"]))
            whole = headers.get("connection") != "close" and len(self._idle) < MOST_IDLE
            return status, body
        finally:
            # After anything but a whole answer, what comes next on it would be taken for another's.
            if whole:
                self._idle.append(connection)
            else:
                writer.close()


def _tls(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError):
        raise ConfigurationError("keyring-authority") from None


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers; raise `ValueError` for an answer without a plain length."""
    first, *lines = head.decode("ascii").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    if (
        version != "HTTP/1.1"
        or not headers.get("content-length", "").isdigit()
        or "transfer-encoding" in headers
    ):
        raise ValueError("not an answer with a length")
    return int(status), headers
