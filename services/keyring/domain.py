"""What may happen to a subject and its keys. Pure: no clock, no randomness, no I/O.

    active ── destroy ──> erasing ── no key left ──> erased (for ever)

Every function returns what follows from one command; the store carries it out under the subject's row lock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from schemas.erasure import Held
from schemas.holds import HoldConfirmed, HoldReleased
from services.kernel.sealing.interface import Refused
from services.keyring.grounds import Pair, PairId, as_held, check_hold, confirmed, released


class State(StrEnum):
    """Of a subject; there is no way back."""

    ACTIVE = "active"
    ERASING = "erasing"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as the keyring knows one: a random id, a state, and what is held for which reason.

    While active only the pairs that a command names need be present; from `erasing` on all of them must be.
    """

    state: State = State.ACTIVE
    storefront: str | None = None
    request: str | None = None
    """The erasure request that is being carried out."""
    round: int = 0
    pairs: Mapping[PairId, Pair] = field(default_factory=dict)

    def held(self, at: datetime) -> tuple[Held, ...]:
        """Return the pairs that a ground holds, in a stable order."""
        return tuple(as_held(pair_id, pair) for pair_id, pair in sorted(self.pairs.items()) if pair.held(at))

    def next_end(self, at: datetime) -> datetime | None:
        """Return when the next ground ends by itself, None when none does."""
        return min((pair.ends for pair in self.pairs.values() if pair.held(at) and pair.ends), default=None)


@dataclass(frozen=True, slots=True)
class Change:
    """What follows from one command."""

    subject: Subject
    destroyed: tuple[PairId, ...] = ()
    """Every key of these pairs dies."""
    ended: tuple[Held, ...] = ()
    """Grounds of an erasing subject that held until now: its next round is due."""


def may_mint(subject: Subject, storefront: str, pair_id: PairId, at: datetime) -> Refused | None:
    """Return why no key may be minted, None when one may.

    While erasing only what is still held gets another key, so that a held order can still be paid or
    refunded.
    """
    if subject.storefront not in (None, storefront):
        return Refused.SUBJECT_FOREIGN
    if subject.state is State.ACTIVE:
        return None
    pair = subject.pairs.get(pair_id)
    if subject.state is State.ERASING and pair is not None and pair.held(at):
        return None
    return Refused.SUBJECT_ERASED


def confirm(subject: Subject, event: HoldConfirmed, at: datetime) -> Change:
    """Hold the named pairs; while erasing only in a scope that is still held: what has died stays dead."""
    for hold in event.holds:
        check_hold(hold)
    if subject.state is State.ERASED:
        return Change(subject)
    pairs = dict(subject.pairs)
    for hold in event.holds:
        pair_id = PairId(event.order, hold.category)
        if subject.state is State.ACTIVE or _may_hold(subject, pair_id, at):
            pairs[pair_id] = confirmed(pairs.get(pair_id), hold, event.revision)
    return _settled(replace(subject, pairs=pairs), subject, at)


def release(subject: Subject, event: HoldReleased, at: datetime) -> Change:
    """Let go of the named pairs; the keys of an erasing subject die with the ground."""
    if subject.state is State.ERASED:
        return Change(subject)
    pairs = dict(subject.pairs)
    for category in event.categories:
        pair_id = PairId(event.order, category)
        pairs[pair_id] = released(pairs.get(pair_id), event.revision)
    return _settled(replace(subject, pairs=pairs), subject, at)


def destroy(subject: Subject, request: str, round_number: int, at: datetime) -> Change:
    """Begin or go on with erasing: what no ground holds dies now, the rest when its ground ends."""
    if subject.state is State.ERASED:
        return Change(replace(subject, request=request, round=round_number))
    erasing = replace(subject, state=State.ERASING, request=request, round=round_number)
    return replace(_settled(erasing, subject, at), ended=())


def lapse(subject: Subject, at: datetime) -> Change:
    """End the grounds whose date has come."""
    return _settled(subject, subject, at)


def said_before(subject: Subject, request: str, round_number: int) -> bool:
    """Say whether this round of this request was carried out already."""
    return subject.request == request and round_number <= subject.round


def _may_hold(subject: Subject, pair_id: PairId, at: datetime) -> bool:
    """While erasing: a held pair may change its ground, a new one may join a scope that is held."""
    if pair_id in subject.pairs:
        return subject.pairs[pair_id].held(at)
    return any(known.scope == pair_id.scope and pair.held(at) for known, pair in subject.pairs.items())


def _settled(now: Subject, before: Subject, at: datetime) -> Change:
    """Carry out what a subject's new grounds mean for its keys."""
    if now.state is not State.ERASING:
        return Change(now)
    loose = [pair_id for pair_id, pair in sorted(now.pairs.items()) if not pair.held(at)]
    ended = [
        as_held(pair_id, before.pairs[pair_id])
        for pair_id in loose
        if pair_id in before.pairs and before.pairs[pair_id].ground is not None
    ]
    destroyed = [pair_id for pair_id in loose if now.pairs[pair_id].live]
    return Change(_finished(replace(now, pairs=_without(now.pairs, loose))), tuple(destroyed), tuple(ended))


def _without(pairs: Mapping[PairId, Pair], loose: Iterable[PairId]) -> dict[PairId, Pair]:
    emptied = {pair_id: replace(pairs[pair_id], ground=None, until=None, live=0) for pair_id in loose}
    return {**pairs, **emptied}


def _finished(subject: Subject) -> Subject:
    """An erasing subject without a living key is erased; what its pairs were is forgotten too."""
    if any(pair.live for pair in subject.pairs.values()):
        return subject
    return replace(subject, state=State.ERASED, pairs={})
