"""Keeps a number of HTTP connections busy, at as little cost as Python allows: it shares the machine with its peer."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import cast

import uvloop

from deploy.local.ports import LOOPBACK


class _Connection(asyncio.Protocol):
    """One request after the other; every answer must have the status that is meant."""

    def __init__(self, requests: Iterator[bytes], answered: Callable[[], bool], status: bytes) -> None:
        self._requests = requests
        self._answered = answered
        self._beginning = b"HTTP/1.1 " + status
        self._received = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        if not self._received.startswith(self._beginning):
            self._finish(AssertionError(self._received[:300]))
            return
        self._received = b""
        if self._answered():
            self._transport.write(next(self._requests))
        else:
            self._finish(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(error or ConnectionError("hung up"))

    def _finish(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
        self._transport.close()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])


def run(
    port: int, requests: Iterator[bytes], seconds: float, connections: int, status: bytes = b"202"
) -> tuple[int, float]:
    """Return how many requests were answered with the status that is meant, and in how many seconds."""
    return uvloop.run(_run(port, requests, seconds, connections, status))


async def _run(
    port: int, requests: Iterator[bytes], seconds: float, connections: int, status: bytes
) -> tuple[int, float]:
    count = 0
    began = time.monotonic()

    def answered() -> bool:
        nonlocal count
        count += 1
        return time.monotonic() - began < seconds

    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(requests, answered, status), LOOPBACK, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.ended for _, connection in made))
    return count, time.monotonic() - began


def posts(bodies: Iterator[bytes], token: str) -> Iterator[bytes]:
    """Yield bodies as requests to take events."""
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    for body in bodies:
        yield b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)
