"""The keyring's in-memory twin, for tests and for trying a worker without a platform.

One contract suite holds it and the real service to the same promises. Its vault hears holds and commands as
events.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schemas.erasure import Destroy
from schemas.holds import Ground, HoldConfirmed, HoldReleased
from schemas.privacy import Category, Event, Purpose
from schemas.topics import MINTS, OPENS, ORDERS, TAGS
from services.kernel.clock import Clock, SystemClock
from services.kernel.errors import ConfigurationError, KeyringUnavailable
from services.kernel.sealing.interface import Minted, Refused, SubjectState
from services.kernel.sealing.keys import KEY_BYTES, DataKey, Erased, KeyRef
from services.kernel.sealing.lease import LEASE_SECONDS, Answer, Lease, Opened, Unopenable, Want, kids_of
from services.kernel.sealing.tagging import TagKey

PROVISIONAL_FOR = (ORDERS.keep or timedelta(days=30)) + timedelta(days=7)
"""As `services/keyring/grounds.py` has it."""
_ENDING = (Ground.PROVISIONAL, Ground.STATUTORY)


@dataclass(slots=True)
class _Pair:
    ground: Ground | None = None
    until: datetime | None = None
    revision: int = 0


@dataclass(slots=True)
class _Person:
    storefront: str | None = None
    state: SubjectState = SubjectState.ACTIVE
    pairs: dict[tuple[str, Category], _Pair] = field(default_factory=dict)


class MemoryVault:
    """What the keyring's database would hold; share one among the principals of a test."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.away = False
        """True: the keyring cannot be reached."""
        self.openings: Counter[tuple[str, Category, Purpose]] = Counter()
        self.log: list[tuple[str, str]] = []
        """(what happened, kid or subject), in order."""
        self._people: dict[str, _Person] = {}
        self._keys: dict[str, tuple[DataKey | None, KeyRef]] = {}
        self._tag_key: tuple[int, bytes, datetime] | None = None
        self._tag_keys = 0

    def principal(self, name: str) -> "MemoryKeyring":
        """Return the keyring as one principal sees it."""
        return MemoryKeyring(self, name)

    def apply(self, subject: str, event: Event) -> None:
        """Take in a hold, a release or a destruction."""
        person = self._people.setdefault(subject, _Person())
        match event:
            case HoldConfirmed(order=scope, revision=revision, holds=holds):
                for hold in holds:
                    self._say(person, (scope, hold.category), _Pair(hold.ground, hold.until, revision))
            case HoldReleased(order=scope, revision=revision, categories=categories):
                for category in categories:
                    self._say(person, (scope, category), _Pair(None, None, revision))
            case Destroy() if person.state is SubjectState.ACTIVE:
                person.state = SubjectState.ERASING
        self._settle(subject, person)

    def mint_one(self, storefront: str, ref: KeyRef) -> DataKey | Refused:
        """Return a fresh key for the ref, or why there is none."""
        state, person = self.state(storefront, ref.subject), self._people[ref.subject]
        if state is SubjectState.FOREIGN:
            return Refused.SUBJECT_FOREIGN
        pair = person.pairs.get((ref.scope, ref.category))
        if state is not SubjectState.ACTIVE and not (
            state is SubjectState.ERASING and pair and self._held(pair)
        ):
            return Refused.SUBJECT_ERASED
        if state is SubjectState.ACTIVE and (pair is None or pair.ground is Ground.PROVISIONAL):
            born = _Pair(Ground.PROVISIONAL, self.clock.now() + PROVISIONAL_FOR, pair.revision if pair else 0)
            person.pairs[ref.scope, ref.category] = born
        key = DataKey.fresh()
        self._keys[key.kid] = (key, ref)
        self.log.append(("minted", key.kid))
        return key

    def state(self, storefront: str, subject: str) -> SubjectState:
        """Return how a subject stands; binds an unseen one to the storefront."""
        person = self._people.setdefault(subject, _Person())
        if person.storefront is None and person.state is SubjectState.ACTIVE:
            person.storefront = storefront
        return person.state if person.storefront in (None, storefront) else SubjectState.FOREIGN

    def open_one(self, principal: str, purpose: Purpose, kid: str) -> Answer:
        """Return the key for this principal and purpose, or why not."""
        key, ref = self._keys.get(kid, (None, None))
        if ref is None or OPENS[principal].get(ref.category) is not purpose:
            return Unopenable()
        if key is None:
            return Erased(kid)
        self.openings[principal, ref.category, purpose] += 1
        self.log.append(("opened", kid))
        return Opened(key, ref)

    def tag_key(self) -> TagKey:
        """Return the tag key of the day."""
        now = self.clock.now()
        if self._tag_key is None or self._tag_key[2] <= now:
            self._tag_keys += 1
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            self._tag_key = (self._tag_keys, secrets.token_bytes(KEY_BYTES), midnight)
        number, material, dies_at = self._tag_key
        return TagKey(number, material, (dies_at - now).total_seconds(), self.clock)

    def lose_tag_key(self) -> None:
        """Lose it, as a crash of the keyring's database does."""
        self._tag_key = None

    def lapse(self) -> None:
        """End the grounds whose date has come, as the keyring does by itself."""
        for subject, person in self._people.items():
            if person.state is SubjectState.ACTIVE:
                over = {name for name, pair in person.pairs.items() if pair.ground and not self._held(pair)}
                person.pairs = {name: pair for name, pair in person.pairs.items() if name not in over}
                self._destroy(subject, over)
            self._settle(subject, person)

    def _say(self, person: _Person, pair_id: tuple[str, Category], said: _Pair) -> None:
        known = person.pairs.get(pair_id)
        if said.revision <= (known.revision if known else 0):
            return
        scope_held = any(
            scope == pair_id[0] and self._held(pair) for (scope, _), pair in person.pairs.items()
        )
        if person.state is SubjectState.ACTIVE or (self._held(known) if known else scope_held):
            person.pairs[pair_id] = said

    def _held(self, pair: _Pair) -> bool:
        ends = pair.until if pair.ground in _ENDING else None
        return pair.ground is not None and (ends is None or ends > self.clock.now())

    def _settle(self, subject: str, person: _Person) -> None:
        if person.state is not SubjectState.ERASING:
            return
        mine = {(ref.scope, ref.category) for _, ref in self._keys.values() if ref.subject == subject}
        self._destroy(subject, {name for name in mine if not self._held(person.pairs.get(name, _Pair()))})
        if not any(key for key, ref in self._keys.values() if ref.subject == subject):
            person.state = SubjectState.ERASED
            self.log.append(("erased", subject))

    def _destroy(self, subject: str, pairs: Collection[tuple[str, Category]]) -> None:
        for kid, (key, ref) in self._keys.items():
            if ref.subject == subject and key is not None and (ref.scope, ref.category) in pairs:
                self._keys[kid] = (None, ref)
                self.log.append(("destroyed", kid))


class MemoryKeyring:
    """A `Keyring` without a network."""

    def __init__(self, vault: MemoryVault, principal: str) -> None:
        self._vault = vault
        self._principal = principal

    async def mint(self, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str] = ()) -> Minted:
        """Mint as the real one does."""
        self._check(self._principal in MINTS)
        keys = tuple(
            self._vault.mint_one(storefront, ref)
            if ref.category in MINTS[self._principal]
            else Refused.CATEGORY_FORBIDDEN
            for ref in refs
        )
        return Minted(keys, tuple(self._vault.state(storefront, subject) for subject in subjects))

    @asynccontextmanager
    async def lease(self, purpose: Purpose, wants: Sequence[Want]) -> AsyncIterator[Lease]:
        """Lease as the real one does."""
        sent_at = self._vault.clock.monotonic()
        answers: dict[str, Answer] = {}
        if wants:
            self._check(purpose in OPENS.get(self._principal, {}).values())
            for kid in kids_of(list(wants)):
                answers[kid] = self._vault.open_one(self._principal, purpose, kid)
        lease = Lease(answers, self._vault.clock, sent_at, LEASE_SECONDS)
        try:
            yield lease
            lease.check()
        finally:
            lease.drop()

    async def tag_key(self) -> TagKey:
        """Hand out the tag key as the real one does."""
        self._check(self._principal in TAGS)
        return self._vault.tag_key()

    async def close(self) -> None:
        """Nothing to close."""

    def _check(self, right: bool) -> None:
        if self._vault.away:
            raise KeyringUnavailable("keyring-unreachable")
        if not right:
            raise ConfigurationError("keyring-refused")
