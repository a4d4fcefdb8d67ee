"""Waits for something to become true, with a deadline."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.25


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
