"""A dispatch gone rogue: asks the keyring for one person's keys over and over, with dispatch's own token.

So what it is handed, and when, is seen from outside of everything that promises not to hand it out.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.demo.room import Room

PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Attempt:
    """One question to the keyring."""

    sent_at: datetime
    answered_at: datetime
    granted: int
    """Keys handed out."""
    refused: int
    """Keys refused as erased."""
    lease_seconds: float

    @property
    def lease_ends_at(self) -> datetime:
        """When whoever got the keys must have stopped using them: counted from sending."""
        return self.sent_at + timedelta(seconds=self.lease_seconds)


class Probe:
    """Asks between `start` and `stop`; `attempts` keeps every answer."""

    def __init__(self, room: Room, kids: list[str]) -> None:
        self.attempts: list[Attempt] = []
        self._room = room
        self._kids = kids
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="probe", daemon=True)

    def start(self) -> None:
        """Begin; returns once a first answer has come."""
        self.attempts.append(self.ask())
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def ask(self) -> Attempt:
        """Ask once."""
        sent_at = datetime.now(UTC)
        status, answer = self._room.keyring(
            "POST", "/v1/open", "carriers", {"purpose": "delivery", "kids": self._kids}
        )
        keys: list[dict[str, Any]] = answer.get("keys", [])
        if status != 200:
            raise RuntimeError("the keyring did not answer the probe")
        refused = sum(key.get("refused") == "erased" for key in keys)
        granted = sum("key" in key for key in keys)
        return Attempt(sent_at, datetime.now(UTC), granted, refused, answer["lease_seconds"])

    def _ask_on(self) -> None:
        while not self._stopping.wait(PAUSE_SECONDS):
            self.attempts.append(self.ask())


def after(attempts: list[Attempt], moment: datetime) -> list[Attempt]:
    """Return the questions that were asked after a moment."""
    return [each for each in attempts if each.sent_at > moment]
