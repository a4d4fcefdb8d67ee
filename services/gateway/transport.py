"""The gateway's way to the keyring: kept connections, one plain exchange at a time, no pool machinery.

Every event waits for a call to the keyring, and the general transport of the HTTP client costs several times what
the call itself does. This one speaks to one peer that answers with a length, as the keyring does, and nothing else.
"""

import asyncio
import ssl
from collections import deque

import httpx

HEAD_BYTES = 16 * 1024
MOST_IDLE = 16

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class KeptConnections(httpx.AsyncBaseTransport):
    """Raises httpx's own transport errors, so that nobody above sees a difference."""

    def __init__(self) -> None:
        self._idle: deque[_Connection] = deque()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request for one answer, within the request's time-outs."""
        limits = request.extensions.get("timeout", {})
        try:
            async with asyncio.timeout(limits.get("read")):
                return await self._exchange(request, _encoded(request, await request.aread()))
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        except ConnectionRefusedError:
            raise httpx.ConnectError("refused", request=request) from None
        except (OSError, EOFError, asyncio.LimitOverrunError):
            raise httpx.ReadError("connection lost", request=request) from None
        except ValueError:
            raise httpx.RemoteProtocolError("not an answer", request=request) from None

    async def aclose(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _exchange(self, request: httpx.Request, content: bytes) -> httpx.Response:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._once(connection, content)
            except (ConnectionError, asyncio.IncompleteReadError):
                # The peer hung up on an idle connection: another one may work. A key minted twice is used once.
                continue
        return await self._once(await _connect(request.url), content)

    async def _once(self, connection: _Connection, content: bytes) -> httpx.Response:
        reader, writer = connection
        whole = False
        try:
            writer.write(content)
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(headers["content-length"]))
            whole = headers.get("connection") != "close" and len(self._idle) < MOST_IDLE
            return httpx.Response(status, headers=headers, content=body)
        finally:
            # After anything but a whole answer, what comes next on it would be taken for another's.
            if whole:
                self._idle.append(connection)
            else:
                writer.close()


async def _connect(url: httpx.URL) -> _Connection:
    secure = url.scheme == "https"
    return await asyncio.open_connection(
        url.host,
        url.port or (443 if secure else 80),
        ssl=ssl.create_default_context() if secure else None,
        limit=HEAD_BYTES,
    )


def _encoded(request: httpx.Request, body: bytes) -> bytes:
    lines = [b"%s: %s\r\n" % pair for pair in request.headers.raw]
    head = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
    return b"".join([head, *lines, b"\r\n", body])


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
