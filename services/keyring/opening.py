"""Opening: keys of the caller's categories, counted before they are handed out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from schemas.privacy import Category, Purpose
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.keys import KeyRef
from services.keyring.kek import Keks
from services.keyring.store import SQL
from services.keyring.wrapping import Bound


class Denied(StrEnum):
    """Why a key is not opened."""

    ERASED = "erased"
    UNKNOWN = "unknown"
    FORBIDDEN = "category-forbidden"
    BROKEN = "unwrapping-failed"
    """Row and ciphertext do not belong together: somebody altered the database. Callers see `unknown`."""


@dataclass(frozen=True, slots=True)
class OpenKey:
    """An unwrapped key on its way to the caller."""

    kid: str
    material: bytes
    ref: KeyRef

    def __repr__(self) -> str:
        return f"OpenKey({self.kid})"


async def open_keys(
    connection: Any,
    keks: Keks,
    principal: str,
    purpose: Purpose,
    categories: frozenset[Category],
    kids: Sequence[str],
) -> list[OpenKey | Denied]:
    """Return the keys in order; those of other categories are denied.

    Must run in a transaction of its own and be answered after its commit: the count is stored first. The rows
    stay locked meanwhile, so a destruction either comes before, or waits and dates itself after.
    """
    rows = {row["kid"]: row for row in await connection.fetch(SQL.open_keys, sorted(set(kids)))}
    answers = {kid: _opened(keks, categories, row) for kid, row in rows.items()}
    counts = Counter(each.ref.category for each in answers.values() if isinstance(each, OpenKey))
    if counts:
        await connection.execute(
            SQL.count_openings, principal, purpose, list(counts), [counts[each] for each in counts]
        )
    return [answers.get(kid, Denied.UNKNOWN) for kid in kids]


def _opened(keks: Keks, categories: frozenset[Category], row: asyncpg.Record) -> OpenKey | Denied:
    if row["category"] not in categories:
        return Denied.FORBIDDEN
    if row["wrapped"] is None:
        return Denied.ERASED
    ref = KeyRef(row["subject"], Category(row["category"]), row["scope"])
    kek = keks.get(row["category"], row["kek_version"])
    try:
        material = kek.unwrap(row["wrapped"], Bound(row["kid"], ref, row["kek_version"]))
    except RejectedRecord:
        return Denied.BROKEN
    return OpenKey(row["kid"], material, ref)
