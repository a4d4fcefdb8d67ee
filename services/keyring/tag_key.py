"""The tag key: made when it is first asked for, destroyed at midnight (UTC), and replaced when asked for again (C3).

It has no KEK: what lives for a day at most and is in no log or backup has nothing to be wrapped against.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from services.kernel.clock import backoff
from services.kernel.errors import LetheError
from services.kernel.failpoints import Step, step
from services.kernel.storage.postgres import DRIVER_ERRORS, PostgresStorage, translate
from services.kernel.telemetry import log
from services.kernel.worker.background import Background
from services.keyring.store import SQL

TICK_SECONDS = 1.0
MOST_WAIT_SECONDS = 5.0
_log = log.get("tag-key")


@dataclass(frozen=True, slots=True)
class LivingTagKey:
    """A tag key on its way to the caller."""

    number: int
    material: bytes
    dies_in_seconds: float

    def __repr__(self) -> str:
        return f"LivingTagKey({self.number})"


async def living_tag_key(connection: Any) -> LivingTagKey:
    """Return the tag key that lives, made now if there is none; a dead one is destroyed first.

    One made right before midnight may be dead on arrival: who asks then asks again.
    Must run in a transaction of its own and be answered after its commit.
    """
    await connection.execute(SQL.lock_tag_key)
    row = await connection.fetchrow(SQL.living_tag_key)
    if row is None:
        await connection.execute(SQL.destroy_tag_key)
        row = await connection.fetchrow(SQL.make_tag_key)
    return LivingTagKey(row["number"], row["material"], row["dies_in_seconds"])


async def destroy_dead_tag_key(pool: Any) -> bool:
    """Destroy the tag key if it is dead; return whether there was one."""
    async with pool.acquire() as connection:
        if not await connection.fetchval(SQL.dead_tag_key):
            return False
        with step(Step.TAG_KEY_END):
            async with connection.transaction():
                await connection.execute(SQL.lock_tag_key)
                # Whoever asked in between has destroyed it, and the one that is there now lives.
                if not await connection.fetchval(SQL.dead_tag_key):
                    return False
                await connection.execute(SQL.destroy_tag_key)
    _log.info("tag key destroyed")
    return True


class TagKeyEnd(Background):
    """A part of the keyring's process: looks each second whether the tag key is dead, and first of all at start."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage

    async def start(self) -> None:
        """Destroy what is dead, then go on looking; raises where that cannot be done, and nobody is served then."""
        try:
            await destroy_dead_tag_key(self._storage.pool)
        except DRIVER_ERRORS as error:
            raise translate(error) from None
        await super().start()

    async def _work(self) -> None:
        waits = backoff(TICK_SECONDS, MOST_WAIT_SECONDS)
        while True:
            try:
                await destroy_dead_tag_key(self._storage.pool)
                waits = backoff(TICK_SECONDS, MOST_WAIT_SECONDS)
                await asyncio.sleep(TICK_SECONDS)
            except (*DRIVER_ERRORS, LetheError) as error:
                told = error if isinstance(error, LetheError) else translate(error)
                _log.warning("tag key not looked at", exc_info=told)
                await asyncio.sleep(next(waits))
