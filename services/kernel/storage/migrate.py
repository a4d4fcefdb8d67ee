"""Brings a worker's schema up to date: numbered SQL files, each applied once, in order, under one advisory lock."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.kernel.errors import ConfigurationError

# Quoted: the driver's classes take a type argument in its stubs only.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
KERNEL = Path(__file__).with_name("migrations")
_LOCK = int.from_bytes(hashlib.sha256(b"lethe migrations").digest()[:7])


async def migrate(connection: Connection, folders: Sequence[Path]) -> list[str]:
    """Apply what is missing and return its names; refuse where an applied file has changed since.

    Two instances that start together take turns; a killed one leaves nothing half applied.
    """
    applied = []
    async with connection.transaction():
        schema = await connection.fetchval("SELECT current_schema()")
        await connection.execute(
            "SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK % 2**31, schema or ""
        )
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, digest text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await connection.fetch("SELECT name, digest FROM migration")
        known = {row["name"]: row["digest"] for row in rows}
        for name, text in _files(folders):
            digest = hashlib.sha256(text.encode()).hexdigest()
            if known.get(name, digest) != digest:
                raise ConfigurationError("migration-changed", file=name)
            if name not in known:
                await connection.execute(text)
                await connection.execute("INSERT INTO migration (name, digest) VALUES ($1, $2)", name, digest)
                applied.append(name)
    return applied


def _files(folders: Sequence[Path]) -> list[tuple[str, str]]:
    return [
        (f"{folder.parent.name}/{path.name}", path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted(folder.glob("[0-9]*.sql"))
    ]
