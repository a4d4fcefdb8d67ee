"""Stops a worker that would dead-letter a whole topic: a bad deploy must not empty the log into a table."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kernel.errors import ConfigurationError
from services.kernel.worker.endings import DEAD_LETTERED


@dataclass
class Breaker:
    """Opens when, of a topic's last `window` records, at least `share` and `least` were dead-lettered."""

    window: int = 1_000
    share: float = 0.5
    least: int = 100
    _recent: dict[str, deque[bool]] = field(default_factory=dict)
    _dead: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def note(self, endings: Mapping[tuple[str, str], int]) -> None:
        """Take in a batch's (topic, ending) counts; raise `ConfigurationError` before the batch is stored."""
        for (topic, ending), count in endings.items():
            recent = self._recent.setdefault(topic, deque())
            recent.extend([ending == DEAD_LETTERED] * count)
            self._dead[topic] += count if ending == DEAD_LETTERED else 0
            while len(recent) > self.window:
                self._dead[topic] -= recent.popleft()
            if self._dead[topic] >= max(self.least, self.share * len(recent)):
                raise ConfigurationError("breaker-open", topic=topic, count=self._dead[topic])
