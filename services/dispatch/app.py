"""Dispatch for carriers, composed in one place: two workers in one process, on one schema."""

from collections.abc import Sequence
from pathlib import Path

from schemas import topics
from services.dispatch.events import TIMERS
from services.dispatch.labels import Labels
from services.dispatch.metering import Watch
from services.dispatch.rights import DispatchRights
from services.dispatch.settings import Settings
from services.dispatch.shipments import OWNER, Shipments
from services.dispatch.store import PostgresShipments, ShipmentStore
from services.dispatch.updates import PATTERN, Updates, topic_named
from services.kernel.broker.interface import Broker
from services.kernel.sealing.interface import Keyring
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.keyring import keyring_of
from services.kernel.worker.process import Part, serve
from services.kernel.worker.worker import Worker

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings, store: ShipmentStore, keyring: Keyring) -> list[Worker]:
    """Return the worker of the subject lanes and the one of the partners' topics."""
    return [
        Worker(
            name=OWNER,
            reads=topics.read_by(OWNER),
            handler=Shipments(store, settings.terms, settings.policy_version),
            timers=TIMERS,
            rights=DispatchRights(store, settings.terms),
            outbound=Labels(keyring),
        ),
        Worker(
            name=f"{OWNER}.updates",
            reads=(),
            handler=Updates(store),
            pattern=PATTERN,
            topic_named=topic_named,
        ),
    ]


async def run(settings: WorkerSettings) -> None:
    """Run both workers until the process is asked to stop."""
    assert isinstance(settings, Settings)
    keyring = keyring_of(settings)
    workers = build(settings, PostgresShipments(), keyring)
    storage = PostgresStorage(settings, [MIGRATIONS])
    watch = Watch(lambda: storage.pool)

    async def compose(_broker: Broker, _storage: Storage) -> tuple[Sequence[Worker], Sequence[Part]]:
        return workers, (watch,)

    try:
        await serve(settings, storage, compose)
    finally:
        await keyring.close()
