"""A gateway of a test's own on a real socket: takes what it is told to take, and misbehaves as it is told to."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body; None hangs up without an answer."""
Behaviour = Callable[[str, Any], Answer]


def taken(path: str, body: Any) -> Answer:
    """Answer as a gateway that accepts everything."""
    if path == "/v1/erasures":
        return 202, {}, json.dumps({"request": body["id"]}).encode()
    return 202, {}, json.dumps({"results": [{"status": 202}] * len(body)}).encode()


def status(number: int, code: str = "", **headers: str) -> Behaviour:
    """Answer everything with one status."""
    body = json.dumps({"code": code}).encode() if code else b"<html>"
    return lambda path, content: (
        number,
        {name.replace("_", "-"): value for name, value in headers.items()},
        body,
    )


def lost(path: str, body: Any) -> Answer:
    """Hang up after the body was read: the sender cannot know what became of it."""
    return None


def slow(seconds: float) -> Behaviour:
    """Take everything, late."""

    def answer(path: str, body: Any) -> Answer:
        time.sleep(seconds)
        return taken(path, body)

    return answer


class FakeGateway:
    """What it received, in order, and how it will answer: the script first, then `usually`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.authorizations: list[str] = []
        self.script: deque[Behaviour] = deque()
        self.usually: Behaviour = taken
        self.url = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event received, repeats included."""
        return [event for path, body in self.calls if path == "/v1/events" for event in body]

    @property
    def ids(self) -> list[str]:
        """The ids of the events received."""
        return [event["id"] for event in self.events]


@contextmanager
def serving() -> Iterator[FakeGateway]:
    """Serve until the block is left."""
    gateway = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            gateway.calls.append((self.path, body))
            gateway.times.append(time.monotonic())
            gateway.authorizations.append(self.headers["authorization"])
            behaviour = gateway.script.popleft() if gateway.script else gateway.usually
            self._answer(behaviour(self.path, body))

        def do_GET(self) -> None:
            gateway.calls.append((self.path, None))
            self._answer((gateway.script.popleft() if gateway.script else gateway.usually)(self.path, None))

        def _answer(self, answer: Answer) -> None:
            if answer is None:
                self.close_connection = True
                return
            number, headers, body = answer
            self.send_response(number)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
