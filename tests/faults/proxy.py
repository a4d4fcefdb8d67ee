"""A TCP proxy on the loopback that can reset every connection that goes through it."""

import selectors
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN."""


class Proxy:
    """Passes bytes between whoever connects and one port; `port` is where it listens."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)
        self.reset()
        self._listener.close()

    def reset(self) -> int:
        """Cut every connection with a reset on both sides; return how many there were."""
        with self._lock:
            cut = list(self._peers)
            for each in cut:
                self._cut(each)
        return len(cut) // 2

    def _cut(self, connection: socket.socket) -> None:
        self._peers.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._peers:
                        self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection((HOST, self._target), timeout=5)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.settimeout(10)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        peer = self._peers[source]
        try:
            content = source.recv(65_536)
            if content:
                return peer.sendall(content)
        except OSError:
            pass
        self._cut(source)
        self._cut(peer)
