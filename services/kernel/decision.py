"""What a worker decides: pure values in, pure values out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from schemas.privacy import Event

State = TypeVar("State")


class Given(NamedTuple):
    """What `decide` is told beside state and event: time and chance are arguments, so it stays pure."""

    id: str
    """Id of the event: the cause of what it brings about."""
    subject: str
    """Empty for events of partner topics, which carry none."""
    source: str
    """`ce_source`, as `/storefronts/<id>` or `/partners/<id>`."""
    at: datetime
    """Database time of the transaction."""
    fresh: str
    """128 random bits in hexadecimal that belong to the event: the same whenever it is decided again."""
    policy: str = "1"


class Outgoing(NamedTuple):
    """An event for others. It goes to `topic` under `key` (the subject id, or a partner's reference)."""

    topic: str
    key: str
    event: Event | None
    """None: a record without a value (a revocation)."""
    subject: str | None = None
    """Whose data it is; None where key is the subject."""
    type: str | None = None
    """Only for a record without a value."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Additional CloudEvents attributes."""
    partner: str | None = None
    """Set where sealed fields must be opened and sealed again for this partner when published."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Fold `event` for this key once `after` has passed; replaces an earlier timer of the same key and type."""

    event: Event
    after: timedelta


@dataclass(frozen=True, slots=True)
class Decision(Generic[State]):
    """The next state and what others must hear. A decision that changes nothing is a repeat."""

    state: State
    outgoing: tuple[Outgoing, ...] = ()
    timers: tuple[Timer, ...] = ()


Decide = Callable[[State | None, Any, Given], Decision[State]]
