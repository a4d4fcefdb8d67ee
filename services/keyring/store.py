"""The keyring's rows, as the domain sees them. Every function works inside its caller's transaction.

Isolation is READ COMMITTED on purpose: each statement sees what was committed while it waited for its locks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg

from schemas.holds import Ground
from schemas.privacy import Category
from services.kernel.storage import queries
from services.keyring.domain import State, Subject
from services.keyring.grounds import Pair, PairId

SQL = queries.beside(__file__)


class Doomed(NamedTuple):
    """A pair of a subject whose keys are to be destroyed."""

    subject: str
    pair: PairId


async def share_subjects(connection: Any, ids: Iterable[str]) -> dict[str, Subject]:
    """Return these subjects, locked against destruction until the transaction ends."""
    return _subjects(await connection.fetch(SQL.share_subjects, sorted(ids)))


async def lock_subjects(connection: Any, ids: Iterable[str]) -> dict[str, Subject]:
    """Return these subjects, locked against everybody; unseen ones are inserted, so that nobody else can."""
    wanted = sorted(ids)
    await connection.execute(SQL.know_subjects, wanted, None)
    return _subjects(await connection.fetch(SQL.lock_subjects, wanted))


async def with_pairs(
    connection: Any, subjects: Mapping[str, Subject], whole: Iterable[str], scopes: Iterable[tuple[str, str]]
) -> dict[str, Subject]:
    """Return the subjects with all pairs and living keys of `whole`, and the pairs of (subject, scope)s."""
    pairs: dict[str, dict[PairId, Pair]] = defaultdict(dict)
    everything, some = sorted(whole), sorted(set(scopes))
    for row in await _pairs(connection, everything, some):
        pair = Pair(Ground(row["ground"]) if row["ground"] else None, row["held_until"], row["revision"])
        pairs[row["subject"]][PairId(row["scope"], Category(row["category"]))] = pair
    for row in await connection.fetch(SQL.live_keys, everything) if everything else ():
        pair_id = PairId(row["scope"], Category(row["category"]))
        known = pairs[row["subject"]].get(pair_id, Pair())
        pairs[row["subject"]][pair_id] = replace(known, live=row["live"])
    return {name: replace(subject, pairs=pairs[name]) for name, subject in subjects.items()}


async def save(connection: Any, before: Mapping[str, Subject], after: Mapping[str, Subject]) -> None:
    """Write what changed of subjects and pairs."""
    changed = [
        (name, subject) for name, subject in sorted(after.items()) if _head(subject) != _head(before[name])
    ]
    if changed:
        rows = [(name, subject.state, subject.request, subject.round) for name, subject in changed]
        await connection.execute(SQL.save_subjects, *zip(*rows, strict=True))
    pairs = [
        (name, pair_id.scope, pair_id.category, pair.ground, pair.until, pair.revision)
        for name, subject in sorted(after.items())
        for pair_id, pair in sorted(subject.pairs.items())
        if _body(pair) != _body(before[name].pairs.get(pair_id))
    ]
    if pairs:
        await connection.execute(SQL.save_pairs, *zip(*pairs, strict=True))
    erased = [name for name, subject in changed if subject.state is State.ERASED]
    if erased:
        await connection.execute(SQL.forget_pairs, erased)


async def destroy_keys(connection: Any, doomed: Sequence[Doomed]) -> list[str]:
    """Destroy every living key of these pairs; return the category of each.

    A statement of its own after the fence: in one statement it would not see a key minted while it waited.
    The keys are locked first, in order, so that it waits for who is just being handed one and not crosswise.
    """
    if not doomed:
        return []
    rows = [(each.subject, each.pair.scope, each.pair.category) for each in doomed]
    kids = [row["kid"] for row in await connection.fetch(SQL.lock_keys, *zip(*rows, strict=True))]
    return [row["category"] for row in await connection.fetch(SQL.destroy_keys, kids)]


async def _pairs(connection: Any, whole: list[str], scopes: list[tuple[str, str]]) -> list[asyncpg.Record]:
    rows = list(await connection.fetch(SQL.pairs_of_subjects, whole)) if whole else []
    if scopes:
        rows += await connection.fetch(SQL.pairs_of_scopes, *zip(*scopes, strict=True))
    return rows


def _subjects(rows: Iterable[asyncpg.Record]) -> dict[str, Subject]:
    return {
        row["id"]: Subject(State(row["state"]), row["storefront"], row["request"], row["round"])
        for row in rows
    }


def _head(subject: Subject) -> tuple[object, ...]:
    return subject.state, subject.request, subject.round


def _body(pair: Pair | None) -> tuple[object, ...] | None:
    return (pair.ground, pair.until, pair.revision) if pair else None


async def subject_with_pairs(connection: Any, name: str) -> Subject | None:
    """Return a subject with everything that is held, None for one never seen; locks nothing."""
    row = await connection.fetchrow(SQL.subject, name)
    if row is None:
        return None
    return (await with_pairs(connection, _subjects([row]), [name], ()))[name]
