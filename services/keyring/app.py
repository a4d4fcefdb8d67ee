"""Composition of the keyring's process."""

from collections.abc import Sequence
from pathlib import Path

from schemas.topics import read_by
from services.kernel.broker.interface import Broker
from services.kernel.clock import SystemClock
from services.kernel.http.server import HttpServer
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.process import Part, serve
from services.kernel.worker.worker import Worker
from services.keyring.api import Api
from services.keyring.chores import Chores
from services.keyring.commands import Commands, GroundsDue
from services.keyring.kek import KekDirectory, Keks
from services.keyring.limits import Limits
from services.keyring.readiness import Replay
from services.keyring.receipts import Signer
from services.keyring.rights import Guests
from services.keyring.service import KeyringService
from services.keyring.settings import Settings
from services.keyring.tag_key import TagKeyEnd

MIGRATIONS = Path(__file__).with_name("migrations")
CONNECTIONS = 8
"""The loop's lanes and the callers share them."""


def worker(signer: Signer) -> Worker:
    """Return the worker that carries out holds and commands."""
    return Worker(name="keyring", reads=read_by("keyring"), handler=Commands(signer), timers=(GroundsDue,))


def parts(settings: Settings, broker: Broker, storage: PostgresStorage, signer: Signer) -> Sequence[Part]:
    """Return what the process does beside its loop, in the order of starting."""
    keks = Keks(KekDirectory(settings.kek_directory))
    replay = Replay(broker, storage)
    chores = Chores(settings, storage, keks, lambda: replay.ready)
    api = Api(
        service=KeyringService(storage, keks),
        guests=Guests(settings.keyring_tokens),
        limits=Limits(settings.openings_per_second, SystemClock()),
        signer=signer,
        ready=lambda: replay.ready and chores.ready,
        rotate=chores.rotate,
    )
    server = HttpServer(api.app(), settings.http_host, settings.http_port, settings.certificate())
    return TagKeyEnd(storage), chores, replay, server


async def run(settings: WorkerSettings) -> None:
    """Run the keyring until it is asked to stop."""
    assert isinstance(settings, Settings)
    signer = Signer.of_pem(settings.signing_key)
    storage = PostgresStorage(settings, [MIGRATIONS], CONNECTIONS)

    async def compose(broker: Broker, _: Storage) -> tuple[Sequence[Worker], Sequence[Part]]:
        return [worker(signer)], parts(settings, broker, storage, signer)

    await serve(settings, storage, compose)
