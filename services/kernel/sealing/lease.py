"""Opened keys on loan: for one batch, for a few seconds, for what each value is expected to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.kernel.clock import Clock
from services.kernel.errors import LeaseExpired, RejectedRecord
from services.kernel.sealing.jwe import kid_of, unseal, unsealing_failed
from services.kernel.sealing.keys import DataKey, Erased, KeyRef
from services.kernel.sealing.place import Place

LEASE_SECONDS = 10.0
"""Longest life of an opened key, counted from the moment the request for it was sent."""


@dataclass(frozen=True, slots=True)
class Want:
    """One sealed value to be opened, and what it must be: where it belongs and whose key it is under."""

    token: str
    where: Place
    ref: KeyRef
    kid: str | None = field(init=False, compare=False)
    """Of the key that the value claims to be under; None for a value of another form than ours."""

    def __post_init__(self) -> None:
        # Read once: both the question and the opening need it.
        object.__setattr__(self, "kid", _readable_kid(self.token))


@dataclass(frozen=True, slots=True)
class Opened:
    """A key as the keyring handed it out, with what the keyring says it is for."""

    key: DataKey
    ref: KeyRef


class Unopenable:
    """The keyring knows no such key, or the caller may not open its category."""


Answer = Opened | Erased | Unopenable


class Lease:
    """The keys of one batch. Good until `LEASE_SECONDS` after the request for them was sent."""

    def __init__(self, answers: Mapping[str, Answer], clock: Clock, sent_at: float, seconds: float) -> None:
        self._answers = dict(answers)
        self._clock = clock
        self._ends_at = sent_at + min(seconds, LEASE_SECONDS)

    def check(self) -> None:
        """Raise `LeaseExpired` when the lease is over: what was read under it must then have no effect.

        The erasure certificate says when the last key is gone; it is right only if everybody lets go in time.
        """
        if self._clock.monotonic() >= self._ends_at:
            self.drop()
            raise LeaseExpired()

    def drop(self) -> None:
        """Forget the keys and end the lease."""
        self._answers.clear()
        self._ends_at = float("-inf")

    def unseal(self, want: Want) -> bytes | Erased:
        """Return the JSON text of a sealed value, or `Erased` when its key was destroyed.

        Raises `RejectedRecord("unsealing-failed")` when the value is not exactly what is wanted (another
        place, subject, category, scope or key, altered, unknown), and `LeaseExpired`.
        """
        self.check()
        match self._answers.get(want.kid or ""):
            case Erased() as erased:
                return erased
            # The keyring knows whose key it is: a value copied into another person's event stops here.
            case Opened(key, ref) if ref == want.ref:
                return unseal(want.token, key, want.where)
            case _:
                raise unsealing_failed()


def kids_of(wants: Sequence[Want]) -> list[str]:
    """Return the distinct kids to ask for; a value without a readable one is refused when opened."""
    return list(dict.fromkeys(want.kid for want in wants if want.kid is not None))


def _readable_kid(token: str) -> str | None:
    try:
        return kid_of(token)
    except RejectedRecord:
        return None
