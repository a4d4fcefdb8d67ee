"""What a database that goes away means to the loop: wait, whatever the driver calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.kernel.errors import LaneLost, LetheError, StoreRejected, StoreUnavailable
from services.kernel.settings import WorkerSettings
from services.kernel.storage.postgres import PostgresStorage

SETTINGS = WorkerSettings(
    principal="sample", instance="sample-1", kafka="-", kafka_password="-", database_port=1,
    database_name="-", database_password="-",
)  # fmt: skip


class _Pool:
    """Gives out connections that fail in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator[object]:
        raise self._error
        yield


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InternalClientError("got result for unknown protocol state"), StoreUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (asyncpg.CannotConnectNowError(), StoreUnavailable),
        (ConnectionResetError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (asyncpg.LockNotAvailableError(), LaneLost),
        (asyncpg.DeadlockDetectedError(), LaneLost),
        (asyncpg.UntranslatableCharacterError(), StoreRejected),
        (asyncpg.CheckViolationError(), StoreRejected),
    ],
)
async def test_every_way_to_fail_says_what_to_do_next(error: Exception, expected: type[LetheError]) -> None:
    """A server killed in the middle of an answer must not look like a bug of ours, which would stop the worker."""
    storage = PostgresStorage(SETTINGS)
    storage._pool = _Pool(error)  # type: ignore[assignment]
    with pytest.raises(expected):
        async with storage.transaction("0"):
            pass
