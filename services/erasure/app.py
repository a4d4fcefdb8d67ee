"""The erasure worker, composed in one place."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from schemas import topics
from schemas.erasure import ErasureEvent
from schemas.matrix import registry_version
from services.erasure.certifying import signed_by
from services.erasure.domain import AnswersDue, Rules, decide
from services.erasure.metering import Watch, metered
from services.erasure.rounds import KEYRING, Erasure
from services.erasure.settings import Settings
from services.erasure.signing import Signer
from services.erasure.store import PostgresErasures
from services.kernel.broker.interface import Broker
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker.fold import Fold, Store
from services.kernel.worker.process import Part, serve
from services.kernel.worker.worker import Worker

MIGRATIONS = Path(__file__).with_name("migrations")


def rules(settings: Settings) -> Rules:
    """Return what decisions depend on; raise `ConfigurationError` for a signing key that is not Ed25519."""
    signer = Signer.from_pem(settings.signing_key.get_secret_value())
    return Rules(topics.OWNERS, registry_version(), settings.patience, partial(signed_by, signer))


def build(settings: Settings, store: Store[Erasure]) -> list[Worker]:
    """Return the one worker of this process."""
    handler = Fold[Erasure](
        metered(partial(decide, rules(settings))), store, state_key, settings.policy_version
    )
    return [
        Worker(
            name="erasure",
            reads=topics.read_by("erasure"),
            handler=handler,
            timers=(AnswersDue,),
        )
    ]


async def run(settings: WorkerSettings) -> None:
    """Run the worker until it is asked to stop."""
    assert isinstance(settings, Settings)
    storage = PostgresStorage(settings, [MIGRATIONS])
    watch = Watch(lambda: storage.pool, (KEYRING, *topics.OWNERS))

    workers = build(settings, PostgresErasures())

    async def compose(_broker: Broker, _storage: Storage) -> tuple[Sequence[Worker], Sequence[Part]]:
        return workers, (watch,)

    await serve(settings, storage, compose)


def state_key(_event: ErasureEvent, subject: str) -> str:
    """Return what a decision is about: everything of one subject."""
    return subject
