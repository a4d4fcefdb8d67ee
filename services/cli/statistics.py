"""Verbs about what crowds did in shops: statistics close, statistics show."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from deploy.local import stack
from deploy.settings import process_of
from schemas.clicks import SEPARATOR, Kind, window_bounds
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

T = TypeVar("T")
Found = dict[str, list[dict[str, Any]]]
Window = Annotated[
    str | None, typer.Option("--window", help="Only this UTC day (2026-11-23) or hour (2026-11-23T09).")
]
Shop = Annotated[str | None, typer.Option("--shop", help="Only of this storefront.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only of this kind.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many numbers.")]

_STARTED = "SELECT to_regclass('clickstream.closing') IS NOT NULL"
# The worker finds them in its next look; a day takes its hours with it.
_ASK = """
    INSERT INTO clickstream.early (storefront, "window")
    SELECT DISTINCT storefront, "window" FROM clickstream.closing
    WHERE stage = 'open' AND ($1::text IS NULL OR storefront = $1) AND ($2::text IS NULL OR "window" = $2)
    ON CONFLICT (storefront, "window") DO UPDATE SET asked_at = now()
    RETURNING storefront, "window"
"""
_NUMBERS = """
    SELECT storefront, "window", kind, cell, count FROM clickstream.statistic
    WHERE ($1::text IS NULL OR storefront = $1) AND ($2::text IS NULL OR "window" = $2)
        AND ($3::text IS NULL OR kind = $3)
    ORDER BY storefront, "window" DESC, kind, count DESC, cell LIMIT $4
"""
_MASSES = """
    SELECT storefront, day, mass FROM clickstream.mass
    WHERE ($1::text IS NULL OR storefront = $1) AND ($2::text IS NULL OR day = $2) ORDER BY storefront, day DESC
"""
_WINDOWS = """
    SELECT storefront, "window", CASE
        WHEN bool_or(stage = 'open') THEN 'open' WHEN bool_or(told) THEN 'published' ELSE 'closing' END AS stage
    FROM clickstream.closing
    WHERE ($1::text IS NULL OR storefront = $1) AND ($2::text IS NULL OR "window" = $2)
    GROUP BY storefront, "window" ORDER BY storefront, "window" DESC
"""
_TALLIES = "SELECT reason, sum(cells)::bigint AS cells FROM clickstream.tally GROUP BY reason ORDER BY reason"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="What crowds of visitors did in shops.", no_args_is_help=True)
    group.command()(close)
    group.command()(show)
    app.add_typer(group, name="statistics")


def close(
    window: Window = None,
    shop: Shop = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Have open windows closed before their time: their numbers are published, what comes later for them is dropped.

    No crowd gets smaller by it. 1 if nothing was open.
    """
    _check(window)

    async def ask(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        return await connection.fetch(_ASK, shop, window)

    nothing: list[asyncpg.Record] = []
    rows = [dict(row) for row in _run(stack.attach(state), ask, nothing, undo=dry_run)]
    rows.sort(key=lambda row: (row["storefront"], row["window"]))
    table = output.table(("shop", "window"), (row.values() for row in rows))
    output.answer({"closing": rows}, as_json, table if rows else "nothing is open")
    if not rows:
        raise typer.Exit(Exit.NO)


def show(
    window: Window = None,
    shop: Shop = None,
    kind: OfKind = None,
    limit: Limit = 100,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """Show what was published, what was dropped per day, how far windows are, and what became of every cell."""
    _check(window)

    async def ask(connection: asyncpg.Connection) -> Found:
        return {
            "statistics": _rows(await connection.fetch(_NUMBERS, shop, window, kind, limit)),
            "dropped": _rows(await connection.fetch(_MASSES, shop, window)),
            "windows": _rows(await connection.fetch(_WINDOWS, shop, window)),
            "cells": _rows(await connection.fetch(_TALLIES)),
        }

    nothing: Found = {"statistics": [], "dropped": [], "windows": [], "cells": []}
    found = _run(stack.attach(state), ask, nothing)
    if as_json:
        output.answer(found, as_json)
        return
    _print("shop window kind cell visitors", found["statistics"])
    _print("shop day dropped", found["dropped"])
    _print("shop window stage", found["windows"])
    _print("cells number", found["cells"])


def _print(columns: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        values = ([str(value).replace(SEPARATOR, " → ") for value in row.values()] for row in rows)
        output.answer(rows, False, output.table(columns.split(), values))


def _check(window: str | None) -> None:
    try:
        if window is not None:
            window_bounds(window)
    except (ValueError, OverflowError):
        raise Ended(Exit.USAGE, "a window is a UTC day (2026-11-23) or an hour (2026-11-23T09)") from None


def _rows(found: list[asyncpg.Record]) -> list[dict[str, Any]]:
    return [dict(row) for row in found]


def _run(
    platform: stack.Stack,
    act: Callable[[asyncpg.Connection], Awaitable[T]],
    otherwise: T,
    *,
    undo: bool = False,
) -> T:
    """Return what `act` does in the worker's database; `otherwise` where the worker has never started."""
    process = process_of("clickstream")

    async def run() -> T:
        try:
            connection = await asyncpg.connect(
                platform.admin_dsn(process.cluster, process.database), timeout=10
            )
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise Ended(
                Exit.UNAVAILABLE, "the database cannot be reached", error=type(error).__name__
            ) from None
        try:
            if not await connection.fetchval(_STARTED):
                return otherwise
            transaction = connection.transaction()
            await transaction.start()
            answer = await act(connection)
            await (transaction.rollback() if undo else transaction.commit())
            return answer
        finally:
            await connection.close()

    return asyncio.run(run())
