"""Minting: fresh keys for whoever writes, in one transaction per batch."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kernel.errors import RetryableError
from services.kernel.failpoints import Step, step
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.keys import KEY_BYTES, KeyRef, thumbprint
from services.keyring.domain import State, Subject, may_mint
from services.keyring.grounds import PROVISIONAL_FOR, PairId
from services.keyring.kek import Keks
from services.keyring.store import SQL, share_subjects, with_pairs
from services.keyring.wrapping import Bound


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that has just been stored; the bytes go to who asked and are kept nowhere."""

    kid: str
    material: bytes
    ref: KeyRef

    def __repr__(self) -> str:
        return f"NewKey({self.kid})"


class Orphaned(RetryableError):
    """A subject known from a hold only belongs to no storefront yet; `adopt` it and mint again."""


async def mint(
    connection: Any, keks: Keks, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str]
) -> tuple[list[NewKey | Refused], list[SubjectState]]:
    """Store one fresh key per ref and return them in order, and how the other subjects stand.

    Must run in a transaction of its own and be answered after its commit. Raises `Orphaned` before anything
    is stored.
    """
    ids = {ref.subject for ref in refs} | set(subjects)
    with step(Step.MINT_LOCK):
        await connection.execute(SQL.know_subjects, sorted(ids), storefront)
        people = await share_subjects(connection, ids)
    if any(person.storefront is None and person.state is State.ACTIVE for person in people.values()):
        raise Orphaned()
    at = await connection.fetchval("SELECT clock_timestamp()")
    erasing = [name for name, person in people.items() if person.state is State.ERASING]
    people = await with_pairs(connection, people, erasing, ()) if erasing else people
    verdicts = [
        may_mint(people[ref.subject], storefront, PairId(ref.scope, ref.category), at) for ref in refs
    ]
    granted = [ref for ref, refusal in zip(refs, verdicts, strict=True) if refusal is None]
    stored: list[NewKey] = []
    if granted:
        with step(Step.MINT_STORE):
            stored = await _store(connection, keks, granted, people, at)
    keys = iter(stored)
    return (
        [refusal or next(keys) for refusal in verdicts],
        [standing(people[name], storefront) for name in subjects],
    )


async def adopt(connection: Any, storefront: str, subjects: Sequence[str]) -> None:
    """Bind subjects that were known before anybody minted for them (holds replayed after a restore)."""
    await connection.execute(SQL.adopt_subjects, sorted(set(subjects)), storefront)


def standing(person: Subject, storefront: str) -> SubjectState:
    """Return how a subject stands for a storefront."""
    if person.storefront not in (None, storefront):
        return SubjectState.FOREIGN
    return SubjectState(person.state)


async def _store(
    connection: Any, keks: Keks, refs: Sequence[KeyRef], people: dict[str, Subject], at: datetime
) -> list[NewKey]:
    primary = await _primary(connection, {ref.category for ref in refs})
    await _bear(connection, [ref for ref in refs if people[ref.subject].state is State.ACTIVE], at)
    pool = secrets.token_bytes(KEY_BYTES * len(refs))
    keys = []
    for number, ref in enumerate(refs):
        material = pool[number * KEY_BYTES : (number + 1) * KEY_BYTES]
        keys.append(NewKey(thumbprint(material), material, ref))
    rows = []
    for key in keys:
        version = primary[key.ref.category]
        bound = Bound(key.kid, key.ref, version)
        wrapped = keks.get(key.ref.category, version).wrap(key.material, bound)
        rows.append((key.kid, key.ref.subject, key.ref.category, key.ref.scope, version, wrapped))
    await connection.execute(SQL.store_keys, *zip(*rows, strict=True))
    return keys


async def _primary(connection: Any, categories: set[str]) -> dict[str, int]:
    """Return the version to wrap with, locked so that nobody retires it meanwhile."""
    wanted = sorted(categories)
    for _ in range(3):
        # Waiting for a rotation to commit, the statement loses the old primary and does not see the new one
        # yet.
        rows = await connection.fetch(SQL.share_primary_keks, wanted)
        if len(rows) == len(wanted):
            return {row["category"]: row["version"] for row in rows}
    raise RetryableError("kek-rotating")


async def _bear(connection: Any, refs: Sequence[KeyRef], at: datetime) -> None:
    pairs = sorted({(ref.subject, ref.scope, ref.category) for ref in refs})
    if pairs:
        await connection.execute(SQL.bear_pairs, *zip(*pairs, strict=True), at + PROVISIONAL_FOR)
