"""The rows of the erasure worker: one per erased subject, in PostgreSQL, and the twin of it in memory."""

from collections.abc import Mapping, Sequence

from services.erasure.rounds import Erasure
from services.kernel.storage import queries
from services.kernel.storage.interface import Transaction

SQL = queries.beside(__file__)


class PostgresErasures:
    """The rows in the worker's own schema; keys are subject ids."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Erasure]:
        rows = await tx.connection.fetch(SQL.load, keys)
        return {row["subject"]: Erasure.model_validate_json(row["body"]) for row in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Erasure]) -> None:
        rows = [
            (subject, erasure.request, erasure.state.value, erasure.round, ",".join(erasure.missing),
             erasure.missing_since, erasure.model_dump_json())
            for subject, erasure in sorted(states.items())
        ]  # fmt: skip
        await tx.connection.execute(SQL.save, *zip(*rows, strict=True))


class MemoryErasures:
    """The twin: the same promises on a dictionary, through the same JSON."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Erasure]:
        rows: dict[str, str] = tx.connection["erasure"]
        return {key: Erasure.model_validate_json(rows[key]) for key in keys if key in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Erasure]) -> None:
        rows: dict[str, str] = tx.connection["erasure"]
        rows.update({subject: erasure.model_dump_json() for subject, erasure in states.items()})
