"""What the keyring answers, without HTTP: each question is one transaction, committed before it is answered."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from schemas.privacy import Category, Purpose
from services.kernel.errors import RetryableError
from services.kernel.failpoints import Step, after, before, step
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.keys import KeyRef
from services.kernel.storage.postgres import DRIVER_ERRORS, PostgresStorage, translate
from services.kernel.telemetry import metrics
from services.keyring.domain import Subject
from services.keyring.kek import Keks
from services.keyring.minting import NewKey, Orphaned, adopt, mint
from services.keyring.opening import Denied, OpenKey, open_keys
from services.keyring.store import SQL, subject_with_pairs
from services.keyring.tag_key import LivingTagKey, living_tag_key

ADOPTIONS = 5
"""Tries of a mint while holds make its subjects known first, as a replay after a restore does."""


class KeyringService:
    """Mint, open, hand out the tag key, and tell; on the keyring's own database."""

    def __init__(self, storage: PostgresStorage, keks: Keks) -> None:
        self._storage = storage
        self._keks = keks

    async def mint(
        self, principal: str, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str]
    ) -> tuple[list[NewKey | Refused], list[SubjectState]]:
        """Return fresh keys (or refusals) in order, and how the subjects stand; binds unseen ones."""
        for _ in range(ADOPTIONS):
            try:
                keys, states = await self._mint(storefront, refs, subjects)
            except Orphaned:
                with step(Step.ADOPT):
                    async with self._transaction() as connection:
                        await adopt(connection, storefront, [*subjects, *(ref.subject for ref in refs)])
            else:
                _count_mintings(principal, keys)
                return keys, states
        raise RetryableError("subjects-orphaned")

    async def open(
        self, principal: str, purpose: Purpose, categories: frozenset[Category], kids: Sequence[str]
    ) -> list[OpenKey | Denied]:
        """Return keys of these categories in order; counted in the database before they are returned."""
        with step(Step.OPEN):
            async with self._transaction() as connection:
                keys = await open_keys(connection, self._keks, principal, purpose, categories, kids)
        _count_openings(principal, purpose, keys)
        return keys

    async def tag_key(self) -> LivingTagKey:
        """Return the tag key of the day, made when first asked for."""
        with step(Step.TAG_KEY):
            async with self._transaction() as connection:
                return await living_tag_key(connection)

    async def subject(self, name: str) -> Subject | None:
        """Return how a subject stands and what is held, None for one never seen."""
        async with self._transaction() as connection:
            return await subject_with_pairs(connection, name)

    async def keks(self) -> list[dict[str, Any]]:
        """Return every KEK version, destroyed ones included, with the number of living keys under it."""
        return [dict(row) for row in await self._fetch(SQL.keks)]

    async def openings(self) -> list[dict[str, Any]]:
        """Return how many keys were handed out, by principal, category and purpose."""
        return [dict(row) for row in await self._fetch(SQL.openings)]

    async def _mint(
        self, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str]
    ) -> tuple[list[NewKey | Refused], list[SubjectState]]:
        async with self._transaction() as connection:
            minted = await mint(connection, self._keks, storefront, refs, subjects)
            before(Step.MINT_COMMIT)
        after(Step.MINT_COMMIT)
        return minted

    async def _fetch(self, statement: str) -> list[asyncpg.Record]:
        async with self._transaction() as connection:
            return await connection.fetch(statement)  # type: ignore[no-any-return]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        try:
            async with self._storage.pool.acquire(timeout=5) as connection, connection.transaction():
                yield connection
        except DRIVER_ERRORS as error:
            raise RetryableError(type(translate(error)).__name__) from None


def _count_mintings(principal: str, keys: Sequence[NewKey | Refused]) -> None:
    for category, count in Counter(key.ref.category for key in keys if isinstance(key, NewKey)).items():
        metrics.MINTINGS.labels(principal, category).inc(count)
    for refusal, count in Counter(key for key in keys if isinstance(key, Refused)).items():
        metrics.KEY_REFUSALS.labels(principal, refusal).inc(count)


def _count_openings(principal: str, purpose: Purpose, keys: Sequence[OpenKey | Denied]) -> None:
    for category, count in Counter(key.ref.category for key in keys if isinstance(key, OpenKey)).items():
        metrics.OPENINGS.labels(principal, category, purpose).inc(count)
    for denial, count in Counter(key for key in keys if isinstance(key, Denied)).items():
        metrics.KEY_REFUSALS.labels(principal, denial).inc(count)
