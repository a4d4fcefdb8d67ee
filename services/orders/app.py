"""The orders worker, composed in one place."""

from functools import partial
from pathlib import Path
from typing import Any

from schemas import topics
from services.kernel.worker.fold import Fold
from services.kernel.worker.worker import Worker
from services.orders.domain import ReturnsWindowEnded, decide, state_key
from services.orders.rights import OrderRights
from services.orders.settings import Settings
from services.orders.store import PostgresOrders

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings) -> list[Worker]:
    """Return the one worker of this process."""
    store = PostgresOrders()
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
