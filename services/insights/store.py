"""The rows of insights on the side of the loop, stored a batch at a time. `memory.py` is the twin."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from schemas.clicks import Kind
from schemas.statistics import Listing
from services.insights.domain import Count, Dropped, Ranking, Row, end_of, key_of
from services.kernel.storage import queries
from services.kernel.storage.interface import Transaction

SQL = queries.beside(__file__)


class PublishedStore:
    """Counts, dropped mass and lists by state key; a statement each for the whole batch."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows that exist."""
        rows: list[Row] = []
        for name, statement, read in _READS:
            if asked := [key.split("/", _PARTS[name])[1:] for key in keys if key.startswith(name + "/")]:
                columns = zip(*asked, strict=True)
                rows += [read(each) for each in await tx.connection.fetch(statement, *map(list, columns))]
        return {key_of(row): row for row in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Row]) -> None:
        """Insert what is new; replace lists that know no more than these."""
        rows = states.values()
        counts = [
            (each.storefront, each.kind, each.window, each.cell, each.at_least)
            for each in rows
            if isinstance(each, Count)
        ]
        heard = {(shop, kind, window, end_of(window)) for shop, kind, window, *_ in counts}
        dropped = [
            (each.storefront, each.day, each.at_least, end_of(each.day))
            for each in rows
            if isinstance(each, Dropped)
        ]
        rankings = [_columns(each) for each in rows if isinstance(each, Ranking)]
        for statement, some in (
            (SQL.hear, sorted(heard)),
            (SQL.save_counts, counts),
            (SQL.save_dropped, dropped),
            (SQL.save_rankings, rankings),
        ):
            if some:
                await tx.connection.execute(statement, *zip(*some, strict=True))


def _columns(row: Ranking) -> tuple[Any, ...]:
    items = orjson.dumps(row.items).decode()
    return row.storefront, row.listing, row.of, row.through, items, end_of(row.through)


def count_of(row: asyncpg.Record) -> Count:
    """Return a count from its columns."""
    return Count(row["storefront"], Kind(row["kind"]), row["during"], row["cell"], row["at_least"])


def dropped_of(row: asyncpg.Record) -> Dropped:
    """Return a dropped mass from its columns."""
    return Dropped(row["storefront"], row["day"], row["at_least"])


def ranking_of(row: asyncpg.Record) -> Ranking:
    """Return a list from its columns."""
    items = tuple((cell, float(score)) for cell, score in orjson.loads(row["items"]))
    return Ranking(row["storefront"], Listing(row["listing"]), row["of"], row["through"], items)


_PARTS = {"count": 4, "dropped": 2, "list": 3}
_READS = (
    ("count", SQL.counts_of, count_of),
    ("dropped", SQL.dropped_of, dropped_of),
    ("list", SQL.rankings_of, ranking_of),
)
