"""The key that tags are made under: kept for a day at most, and a visitor's tags stay the same for that long only."""

import hashlib
from datetime import timedelta
from typing import NoReturn

from services.kernel.clock import Clock
from services.kernel.errors import KeyringUnavailable
from services.kernel.sealing.keys import KEY_BYTES

MAC_BYTES = 32
LONGEST_SECONDS = 86_400.0
"""No tag key lives longer than a day (C3), whatever anybody answers."""


class TagKey:
    """A tag key on loan until it dies; afterwards it makes nothing. Its repr shows its number only.

    Unlike a data key it is kept beyond a batch. It opens nothing: whoever has it can recognise a visitor whose
    address and browser he knows, for as long as it lives.
    """

    __slots__ = ("_clock", "_dies_at", "_dies_on", "_material", "number")

    def __init__(
        self,
        number: int,
        material: bytes,
        dies_in_seconds: float,
        clock: Clock,
        asked_at: float | None = None,
    ) -> None:
        """The rest of its life is counted from `asked_at`, the clock's reading when it was asked for."""
        if len(material) != KEY_BYTES or number < 1:
            raise ValueError("a tag key has a number and 32 bytes")
        self.number = number
        self._material = material
        self._clock = clock
        now = clock.monotonic()
        self._dies_at = (now if asked_at is None else asked_at) + min(dies_in_seconds, LONGEST_SECONDS)
        # A machine that slept over midnight has a clock that slept as well, and one that did not.
        self._dies_on = clock.now() + timedelta(seconds=self._dies_at - now)

    @property
    def dies_in_seconds(self) -> float:
        """What is left of its life, 0 when it is over."""
        if not self._material:
            return 0.0
        left = self._dies_at - self._clock.monotonic()
        return max(0.0, min(left, (self._dies_on - self._clock.now()).total_seconds()))

    def mac(self, message: bytes) -> bytes:
        """Return 32 bytes that only this key makes of the message; raise `KeyringUnavailable` after its death."""
        if not self.dies_in_seconds:
            self.drop()
            raise KeyringUnavailable("tag-key-dead")
        return hashlib.blake2b(
            message, digest_size=MAC_BYTES, key=self._material, person=b"lethe-tag-key"
        ).digest()

    def drop(self) -> None:
        """Forget the key before its time, or at it."""
        self._material = b""

    def __repr__(self) -> str:
        return f"TagKey({self.number})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tag key is not copied or stored")


def joined(*parts: str) -> bytes:
    """Return the parts as bytes that no other parts give."""
    # A browser can send surrogates; they are as good as any other text to tell visitors apart.
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4) + part for part in encoded)
