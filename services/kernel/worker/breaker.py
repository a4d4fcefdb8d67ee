"""Stops a worker that would dead-letter a whole topic: a bad deploy must not empty the log into a table."""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.kernel.broker.interface import Record
from services.kernel.errors import ConfigurationError
from services.kernel.storage.interface import DeadLetter


@dataclass
class Breaker:
    """Opens when, of a topic's last `window` records, at least `share` and `least` could not be read or handled.

    What a rule refuses does not count: a storefront that cancels orders nobody placed must not stop the others.
    """

    exempt: frozenset[str] = frozenset()
    """Topics of which an operator has seen that their records are past reading."""
    window: int = 1_000
    share: float = 0.5
    least: int = 100
    _recent: dict[str, deque[bool]] = field(default_factory=lambda: defaultdict(deque))
    _faults: Counter[str] = field(default_factory=Counter)

    def note(self, records: Sequence[Record], letters: Sequence[DeadLetter]) -> None:
        """Take in a batch and its letters; raise `ConfigurationError` before the batch is stored."""
        faults = Counter(letter.topic for letter in letters if letter.blocks or letter.state_key is None)
        for topic, read in Counter(record.topic for record in records).items():
            if topic in self.exempt:
                continue
            recent = self._recent[topic]
            recent.extend([True] * faults[topic] + [False] * (read - faults[topic]))
            self._faults[topic] += faults[topic]
            while len(recent) > self.window:
                self._faults[topic] -= recent.popleft()
            if self._faults[topic] >= max(self.least, self.share * len(recent)):
                raise ConfigurationError("breaker-open", topic=topic, count=self._faults[topic])
