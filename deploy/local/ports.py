"""Ports on the loopback: chosen once, kept, and chosen again only where somebody else has taken one."""

import secrets
import socket
from collections.abc import Iterable, Mapping

from deploy.local.errors import PlatformUnavailable

LOOPBACK = "127.0.0.1"
# Below the ranges from which systems take ports for outgoing connections, which would race with us.
CANDIDATES = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nothing listens on the port now."""
    with socket.socket() as probe:
        # As Kafka and PostgreSQL do: a connection that is still winding down does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True


def choose(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """Return a free port for each name: the kept one while it is free, else another that no name has."""
    taken, chosen = set(kept.values()), {}
    for name in names:
        port = kept.get(name)
        if port is None or not is_free(port):
            port = _another(taken)
        taken.add(port)
        chosen[name] = port
    return chosen


def _another(taken: set[int]) -> int:
    for _ in range(1_000):
        port = secrets.choice(CANDIDATES)
        if port not in taken and is_free(port):
            return port
    raise PlatformUnavailable("no free port found on the loopback")
