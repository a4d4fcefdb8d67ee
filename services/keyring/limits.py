"""How fast a principal may open keys: whoever steals a worker's token gets no copy of everything in a minute."""

from collections.abc import Callable

from services.kernel.clock import Clock

BURST_SECONDS = 5.0
"""A principal that was quiet may open this many seconds' worth at once."""


class Limits:
    """A bucket per principal that refills with time; of this process only."""

    def __init__(self, per_second: Callable[[str], float], clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, principal: str, count: int) -> bool:
        """Take `count` openings; False when that is too fast, and then nothing is taken."""
        rate, now = self._per_second(principal), self._clock.monotonic()
        most = rate * BURST_SECONDS
        left, since = self._buckets.get(principal, (most, now))
        left = min(most, left + (now - since) * rate)
        # A single call larger than the bucket passes when it is full, and is waited for afterwards.
        if left < min(count, most):
            self._buckets[principal] = (left, now)
            return False
        self._buckets[principal] = (left - count, now)
        return True
