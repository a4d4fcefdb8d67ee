"""What ends by its date while nobody is erasing anything: keys never confirmed, invoices past their years
(T4).

People who are being erased are left to `commands.GroundsDue`: others must hear of those ends, in their lane's
order.
"""

from collections import Counter
from typing import Any

from schemas.privacy import Category
from services.kernel.failpoints import Step, step
from services.kernel.telemetry import metrics
from services.keyring.grounds import PairId
from services.keyring.store import SQL, Doomed, destroy_keys

CHUNK = 200


async def expire(pool: Any) -> int:
    """End every due ground of people who are not being erased; return how many keys died."""
    total = 0
    while True:
        with step(Step.EXPIRE):
            async with pool.acquire() as connection, connection.transaction():
                found, destroyed = await expire_some(connection)
        total += destroyed
        if not found:
            return total


async def expire_some(connection: Any) -> tuple[int, int]:
    """End the due grounds of some people; return how many people and how many keys."""
    due = [row["subject"] for row in await connection.fetch(SQL.due_people, CHUNK)]
    # A destruction may have begun since: whoever is not active any more is no longer ours.
    mine = [row["id"] for row in await connection.fetch(SQL.lock_active_subjects, sorted(due))]
    ended = await connection.fetch(SQL.end_due_pairs, mine) if mine else []
    doomed = [Doomed(row["subject"], PairId(row["scope"], Category(row["category"]))) for row in ended]
    categories = await destroy_keys(connection, doomed)
    for category, count in Counter(categories).items():
        metrics.KEYS_DESTROYED.labels(category, "expiry").inc(count)
    return len(mine), len(categories)
