"""The clickstream worker, composed in one place."""

from collections.abc import Sequence
from pathlib import Path

from schemas import topics
from services.clickstream.domain import Closing
from services.clickstream.ending import Ending
from services.clickstream.handler import Clicks
from services.clickstream.settings import Settings
from services.clickstream.store import ClickStore, PostgresClicks
from services.kernel.broker.interface import Broker
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.process import Part, serve
from services.kernel.worker.worker import Worker

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings, store: ClickStore) -> list[Worker]:
    """Return the one worker of this process."""
    handler = Clicks(store, settings.rules)
    return [
        Worker(name="clickstream", reads=topics.read_by("clickstream"), handler=handler, timers=(Closing,))
    ]


async def run(settings: WorkerSettings) -> None:
    """Run the worker until it is asked to stop."""
    assert isinstance(settings, Settings)
    store = PostgresClicks()
    workers = build(settings, store)

    async def compose(broker: Broker, storage: Storage) -> tuple[Sequence[Worker], Sequence[Part]]:
        return workers, (Ending(broker, storage, store, settings.rules),)

    await serve(settings, PostgresStorage(settings, [MIGRATIONS]), compose)
