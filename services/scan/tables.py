"""Searches every table of every database through PostgreSQL itself, so that compressed values are read whole."""

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg

from services.scan.findings import Find, Findings
from services.scan.needles import Searcher

_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
_TABLES = """
    SELECT format('%s.%s', nspname, relname) AS name, format('TABLE %I.%I', nspname, relname) AS query
    FROM pg_class AS relation JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    WHERE relkind IN ('r', 'm') AND relpersistence <> 't' ORDER BY name
"""
TIMEOUT_SECONDS = 60.0
Dsns = Mapping[str, str]
"""By cluster: the super user's DSN of one of its databases."""
T = TypeVar("T")


@dataclass
class Sieve:
    """Takes a table as PostgreSQL sends it, and keeps only what was found in it."""

    matcher: Searcher
    seen: set[tuple[int, str]] = field(default_factory=set)
    size: int = 0
    _kept: bytes = b""

    async def write(self, chunk: bytes) -> None:
        """Search one piece."""
        window = self._kept + chunk
        self.seen.update((match.needle, match.form) for match in self.matcher.matches(window))
        self.size += len(chunk)
        self._kept = self.matcher.rest(window)


def search_tables(dsns: Dsns, matcher: Searcher) -> Findings:
    """Search all tables, statistics and system catalogues included; name those that cannot be read."""
    return blocking(_search_clusters(dsns, matcher))


def execute(dsns: Dsns, *statements: str) -> None:
    """Run statements on each cluster, each in a transaction of its own."""
    blocking(_on_each(dsns, statements))


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, also where a loop is running already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _on_each(dsns: Dsns, statements: tuple[str, ...]) -> None:
    for dsn in dsns.values():
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


async def _search_clusters(dsns: Dsns, matcher: Searcher) -> Findings:
    findings = Findings()
    for cluster, dsn in dsns.items():
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS)
        try:
            databases = [row["datname"] for row in await connection.fetch(_DATABASES)]
        finally:
            await connection.close()
        for database in databases:
            await _search_database(f"{cluster}/{database}", _to(dsn, database), matcher, findings)
    return findings


async def _search_database(place: str, dsn: str, matcher: Searcher, findings: Findings) -> None:
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS)
    try:
        for row in await connection.fetch(_TABLES):
            where = f"{place} {row['name']}"
            sieve = Sieve(matcher)
            try:
                await _copy(connection, row["query"], sieve)
            except asyncpg.UndefinedTableError:
                findings.vanished += 1
            except asyncpg.PostgresError:
                findings.undecoded.append(where)
            findings.count("table", sieve.size)
            findings.finds += [Find("table", where, form, needle) for needle, form in sorted(sieve.seen)]
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection, query: str, sieve: Sieve) -> None:
    """Send a table through the sieve: binary, where text, JSON and bytea arrive as they are."""
    try:
        await connection.copy_from_query(query, output=sieve.write, format="binary", timeout=TIMEOUT_SECONDS)
    except asyncpg.UndefinedFunctionError:
        # Some types of the system catalogues have no binary form.
        await connection.copy_from_query(query, output=sieve.write, format="text", timeout=TIMEOUT_SECONDS)


def _to(dsn: str, database: str) -> str:
    """Return the DSN with another database."""
    return f"{dsn.rpartition('/')[0]}/{quote(database)}"
