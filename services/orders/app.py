"""The orders worker, composed in one place."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from schemas import topics
from services.kernel.broker.interface import Broker
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.fold import Fold
from services.kernel.worker.process import Part, serve
from services.kernel.worker.worker import Worker
from services.orders.domain import ReturnsWindowEnded, decide, state_key
from services.orders.rights import OrderRights
from services.orders.settings import Settings
from services.orders.store import OrderStore, PostgresOrders

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings, store: OrderStore) -> list[Worker]:
    """Return the one worker of this process."""
    handler = Fold[Any](partial(decide, settings.terms), store, state_key, settings.policy_version)
    return [
        Worker(
            name="orders",
            reads=topics.read_by("orders"),
            handler=handler,
            timers=(ReturnsWindowEnded,),
            rights=OrderRights(store),
        )
    ]


async def run(settings: WorkerSettings) -> None:
    """Run the worker until it is asked to stop."""
    assert isinstance(settings, Settings)
    workers = build(settings, PostgresOrders())

    async def compose(_broker: Broker, _storage: Storage) -> tuple[Sequence[Worker], Sequence[Part]]:
        return workers, ()

    await serve(settings, PostgresStorage(settings, [MIGRATIONS]), compose)
