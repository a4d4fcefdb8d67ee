"""One start or stop at a time in a state directory: another would undo half of it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.errors import PlatformUnavailable
from deploy.local.layout import Layout

PATIENCE_SECONDS = 180


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold a state directory; wait for whoever holds it, then raise `PlatformUnavailable`."""
    descriptor = os.open(layout.root / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _lock(descriptor, layout)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, layout: Layout) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise PlatformUnavailable(f"another start or stop is at work in {layout.root}") from None
            time.sleep(0.1)
