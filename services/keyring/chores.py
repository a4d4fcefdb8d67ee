"""What the keyring does unasked: ends grounds by their date, replaces KEK versions, measures itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from schemas.holds import Ground
from schemas.privacy import Category
from services.kernel.clock import backoff
from services.kernel.errors import LetheError
from services.kernel.storage.postgres import DRIVER_ERRORS, PostgresStorage, translate
from services.kernel.telemetry import log, metrics
from services.kernel.worker.background import Background
from services.keyring.expiry import expire
from services.keyring.kek import Keks
from services.keyring.rotation import begin, ensure_primaries, resume, rotate
from services.keyring.settings import Settings
from services.keyring.store import SQL

TICK_SECONDS = 1.0
_log = log.get("chores")


class Chores(Background):
    """A part of the keyring's process. Several instances may do the same chores: each is safe to do twice."""

    def __init__(
        self,
        settings: Settings,
        storage: PostgresStorage,
        keks: Keks,
        known: Callable[[], bool] = lambda: True,
    ) -> None:
        """`known` says whether the holds that were confirmed before this process started are known to it."""
        self._settings = settings
        self._storage = storage
        self._keks = keks
        self._known = known
        self._expire_at = 0.0

    async def start(self) -> None:
        """Make first KEK versions, check the existing ones, begin."""
        try:
            await ensure_primaries(self._storage.pool, self._keks)
        except DRIVER_ERRORS as error:
            raise translate(error) from None
        await super().start()

    async def rotate(self, category: Category | None) -> list[Category]:
        """Begin to replace the KEK version of a category, or of all; return those of which no other is under way.

        What has begun is in the database: a keyring that dies now carries it to its end when it is back.
        """
        chosen = (category,) if category else tuple(Category)
        try:
            return [each for each in chosen if await begin(self._storage.pool, self._keks, each)]
        except DRIVER_ERRORS as error:
            raise translate(error) from None

    async def _work(self) -> None:
        waits = backoff(TICK_SECONDS, 30.0)
        while True:
            try:
                await self._once()
                waits = backoff(TICK_SECONDS, 30.0)
                await asyncio.sleep(TICK_SECONDS)
            except (*DRIVER_ERRORS, LetheError) as error:
                told = error if isinstance(error, LetheError) else translate(error)
                _log.warning("chores put off", exc_info=told)
                await asyncio.sleep(next(waits))

    async def _once(self) -> None:
        pool = self._storage.pool
        now = asyncio.get_running_loop().time()
        # In a restored copy a provisional ground may be over whose order was confirmed since: that is read first.
        if now >= self._expire_at and self._known():
            await expire(pool)
            await self._measure()
            self._expire_at = now + self._settings.expiry_seconds
        age = timedelta(seconds=self._settings.kek_rotation_seconds)
        for row in await pool.fetch(SQL.tired_categories, age):
            await rotate(pool, self._keks, Category(row["category"]))
        for row in await pool.fetch(SQL.unfinished_categories):
            await resume(pool, self._keks, Category(row["category"]))
        living = await pool.fetch(SQL.living_keks)
        self._keks.keep_only((row["category"], row["version"]) for row in living)

    async def _measure(self) -> None:
        pool = self._storage.pool
        for row in await pool.fetch(SQL.live_keys_by_category):
            metrics.KEYS_LIVE.labels(row["category"]).set(row["live"])
        for row in await pool.fetch(SQL.pending_keks):
            metrics.KEK_PENDING.labels(row["category"]).set(row["pending"])
        metrics.GROUNDS_OVERDUE.labels(Ground.OPEN_ORDER).set(await pool.fetchval(SQL.overdue))
