"""Verbs about records that were set aside: dead-letters list, dead-letters redrive."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from deploy.local import stack
from deploy.settings import PROCESSES, WorkerProcess, process_of
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

T = TypeVar("T")
Worker = Annotated[str | None, typer.Option("--worker", help="Only of this worker.")]
Code = Annotated[str | None, typer.Option("--code", help="Only with this reason.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many of a worker.")]

_FOUND = """
    SELECT id, topic, partition, record_offset AS "offset", code, field_path, parked, blocks, event_type, length,
        recorded_at, redrive, value IS NOT NULL AS kept
    FROM {schema}.dead_letter WHERE ($1::text IS NULL OR code = $1) ORDER BY id LIMIT $2
"""
# What is parked goes with the letter it waits behind, so that order per key is kept; undecodable bytes are not kept.
_MARK = """
    UPDATE {schema}.dead_letter SET redrive = true
    WHERE id IN (SELECT id FROM {schema}.dead_letter
        WHERE value IS NOT NULL AND NOT parked AND NOT redrive AND ($1::text IS NULL OR code = $1)
        ORDER BY id LIMIT $2)
    RETURNING id
"""
COLUMNS = (
    "worker",
    "id",
    "topic",
    "partition",
    "offset",
    "code",
    "field_path",
    "event_type",
    "parked",
    "recorded_at",
)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Records that were set aside, and their way back.", no_args_is_help=True)
    group.command("list")(show)
    group.command()(redrive)
    app.add_typer(group, name="dead-letters")


def show(
    worker: Worker = None,
    code: Code = None,
    limit: Limit = 100,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """List dead letters and what is parked behind them, by coordinates and reason; never their content. 1 if any."""
    found = _each_worker(stack.attach(state), worker, _FOUND, code, limit)
    rows = [{"worker": name, **dict(row)} for name, rows in found.items() for row in rows]
    table = output.table(COLUMNS, ([row[column] for column in COLUMNS] for row in rows))
    output.answer({"dead_letters": rows}, as_json, table if rows else "none")
    if rows:
        raise typer.Exit(Exit.NO)


def redrive(
    worker: Worker = None,
    code: Code = None,
    limit: Limit = 100,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Have workers fold dead letters again, oldest first, each with what is parked behind it, under the lane's lock.

    Nothing is produced to Kafka again. 1 if there was nothing that can be redriven.
    """
    found = _each_worker(stack.attach(state), worker, _MARK, code, limit, dry_run=dry_run)
    counts = {name: len(rows) for name, rows in found.items()}
    lines = [f"{name}: {count}" for name, count in counts.items() if count]
    output.answer({"redriven": counts}, as_json, "\n".join(lines) or "nothing to redrive")
    if not lines:
        raise typer.Exit(Exit.NO)


def _each_worker(
    platform: stack.Stack,
    worker: str | None,
    sql: str,
    code: str | None,
    limit: int,
    *,
    dry_run: bool = False,
) -> dict[str, list[Any]]:
    """Run a statement in the schema of each worker that has started once; undone at the end of a dry run."""
    try:
        chosen = [process_of(worker)] if worker else list(PROCESSES)
    except KeyError:
        raise Ended(Exit.USAGE, "no worker is called that") from None

    async def ask(process: WorkerProcess) -> list[Any]:
        async def statement(connection: asyncpg.Connection) -> list[Any]:
            if not await connection.fetchval("SELECT to_regclass($1)", f"{process.principal}.dead_letter"):
                return []
            return await connection.fetch(sql.format(schema=process.principal), code, limit)

        return await _in_transaction(
            platform.admin_dsn(process.cluster, process.database), statement, dry_run
        )

    async def ask_all() -> dict[str, list[Any]]:
        return {process.principal: await ask(process) for process in chosen}

    return asyncio.run(ask_all())


async def _in_transaction(dsn: str, act: Callable[[asyncpg.Connection], Awaitable[T]], undo: bool) -> T:
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Ended(Exit.UNAVAILABLE, "the database cannot be reached", error=type(error).__name__) from None
    try:
        transaction = connection.transaction()
        await transaction.start()
        answer = await act(connection)
        await (transaction.rollback() if undo else transaction.commit())
        return answer
    finally:
        await connection.close()
