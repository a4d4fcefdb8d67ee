"""New KEK versions, and the end of old ones: with a version die all copies of the keys that were destroyed
under it.

    primary ── begin ──> retiring ── every living key wrapped anew ──> destroying ── file gone ──> destroyed

Every arrow is one short transaction, so a kill between any two leaves a state that `resume` goes on from. A
dead row, a WAL segment, a replica and a backup may still hold a destroyed key's ciphertext; without its KEK
it is noise.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from schemas.privacy import Category
from services.kernel.errors import RejectedRecord
from services.kernel.failpoints import Step, step
from services.kernel.sealing.keys import KeyRef
from services.kernel.telemetry import log, metrics
from services.keyring.kek import Keks
from services.keyring.store import SQL
from services.keyring.wrapping import Bound, Kek

CHUNK = 500
_LOCK = 0x4C455448
"""First half of the advisory locks that keep two instances from rotating one category at once."""
_log = log.get("rotation")


async def ensure_primaries(pool: Any, keks: Keks) -> None:
    """Give every category its first KEK version; check that the provider still has every living one."""
    for category in Category:
        with step(Step.KEK_BEGIN):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, category)
                if not await connection.fetch(SQL.lock_keks, category):
                    await _install(connection, keks, category)
    for row in await pool.fetch(SQL.living_keks):
        if row["state"] != "destroying":
            keks.check(row["category"], row["version"], row["thumbprint"])


async def begin(pool: Any, keks: Keks, category: Category) -> bool:
    """Make a new version primary; False when an earlier rotation has not ended yet.

    The version is durable before any row names it. Mints under way hold the old primary's row: they commit
    first, so that nothing is wrapped with it later than this.
    """
    with step(Step.KEK_BEGIN):
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL.lock_keks, category)
            if any(row["state"] in ("retiring", "destroying") for row in rows):
                return False
            await connection.execute(SQL.retire_kek, category)
            await _install(connection, keks, category)
            return True


async def resume(pool: Any, keks: Keks, category: Category) -> None:
    """Carry a category's rotation to its end; nothing happens where none is under way.

    Keys that others hold locked are left for the next call. Another instance at it: returns at once.
    """
    async with _alone(pool, category) as connection:
        if connection is None:
            return
        rows = await connection.fetch(SQL.living_keks)
        mine = {row["version"]: row["state"] for row in rows if row["category"] == category}
        primary = next(version for version, state in mine.items() if state == "primary")
        for version, state in mine.items():
            if state == "retiring":
                await rewrap(connection, keks, category, version, primary)
                with step(Step.CONDEMN):
                    condemned = await connection.fetchval(SQL.condemn_kek, category, version)
                state = "destroying" if condemned else state
            if state == "destroying":
                with step(Step.KEK_DESTROY):
                    keks.provider.destroy(category, version)
                with step(Step.KEK_BURY):
                    await connection.fetchval(SQL.bury_kek, category, version)
                _log.info("kek destroyed", category=category, kek_version=version)
        await _bury_again(connection, keks, category)
        keks.keep_only((row["category"], row["version"]) for row in await connection.fetch(SQL.living_keks))


async def rotate(pool: Any, keks: Keks, category: Category) -> None:
    """Replace a category's KEK version and destroy the old one; finishes an unfinished rotation first."""
    await resume(pool, keks, category)
    if await begin(pool, keks, category):
        await resume(pool, keks, category)


async def rewrap(connection: Any, keks: Keks, category: str, old: int, new: int) -> None:
    """Wrap every living key of a version anew, in chunks; keys destroyed meanwhile stay destroyed."""
    after = ""
    while rows := await connection.fetch(SQL.stale_keys, category, old, after, CHUNK):
        after = rows[-1]["kid"]
        wrapped = _rewrapped(rows, keks.get(category, old), keks.get(category, new))
        if wrapped:
            with step(Step.REWRAP):
                done = await connection.execute(SQL.rewrap_keys, *zip(*wrapped, strict=True), new)
            metrics.REWRAPPED.labels(category).inc(int(done.split()[-1]))


async def _bury_again(connection: Any, keks: Keks, category: Category) -> None:
    """Destroy versions that came back: somebody restored the provider's directory from a backup."""
    there = [version for owner, version in keks.provider.versions() if owner == category]
    for row in await connection.fetch(SQL.destroyed_keks, category, there):
        with step(Step.KEK_DESTROY):
            keks.provider.destroy(category, row["version"])
        _log.warning("destroyed kek came back", category=category, kek_version=row["version"])


async def _install(connection: Any, keks: Keks, category: Category) -> None:
    known = await connection.fetchval(
        "SELECT coalesce(max(version), 0) FROM kek WHERE category = $1", category
    )
    # A killed `begin` leaves a version that no row names, a restored database forgets versions that some
    # later one needs: no number is ever used twice.
    there = [version for owner, version in keks.provider.versions() if owner == category]
    version = max([known, *there]) + 1
    with step(Step.KEK_CREATE):
        kek = keks.provider.create(category, version)
    await connection.execute(SQL.install_kek, category, version, kek.thumbprint)


def _rewrapped(rows: Sequence[asyncpg.Record], old: Kek, new: Kek) -> list[tuple[str, bytes, bytes]]:
    wrapped = []
    for row in rows:
        ref = KeyRef(row["subject"], Category(row["category"]), row["scope"])
        try:
            material = old.unwrap(row["wrapped"], Bound(row["kid"], ref, old.version))
        except RejectedRecord:
            # Somebody altered the row: its key is lost, and its old version stays until a person has looked.
            _log.error("key cannot be unwrapped", category=old.category, kek_version=old.version)
            continue
        wrapped.append((row["kid"], row["wrapped"], new.wrap(material, Bound(row["kid"], ref, new.version))))
    return wrapped


@asynccontextmanager
async def _alone(pool: Any, category: Category) -> AsyncIterator[Any]:
    """Yield a connection that holds the category's lock, None when another instance has it."""
    async with pool.acquire() as connection:
        if not await connection.fetchval(
            "SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK + 1, category
        ):
            yield None
            return
        try:
            yield connection
        finally:
            try:
                await connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", _LOCK + 1, category)
            except BaseException:
                # The lock is the session's: back in the pool it would keep every other instance from rotating.
                connection.terminate()
                raise
