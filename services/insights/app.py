"""Composition: the loop that hears what is published, the door for readers, the broom."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas import topics
from services.insights.desk import Desk, PostgresDesk
from services.insights.domain import Row, decide, state_key
from services.insights.http import Door
from services.insights.library import Library
from services.insights.numbers import FRESH_SECONDS, Numbers, weigh
from services.insights.pages import Pages
from services.insights.settings import Settings
from services.insights.signing import Attempts, Signing
from services.insights.store import PublishedStore
from services.insights.tidying import Tidying
from services.insights.view import Reader
from services.kernel.broker.interface import Broker
from services.kernel.clock import Clock, SystemClock
from services.kernel.http.doorkeeper import Doorkeeper
from services.kernel.http.server import HttpServer
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker import process
from services.kernel.worker.fold import Fold, Store
from services.kernel.worker.worker import Worker

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings, store: Store[Row] | None = None) -> Worker:
    """Return the worker that folds what is published."""
    fold = Fold[Any](decide, store or PublishedStore(), state_key, settings.policy_version)
    return Worker(name=settings.principal, reads=topics.read_by("insights"), handler=fold)


def door(settings: Settings, desk: Desk, clock: Clock) -> Door:
    """Return the HTTP application."""
    signing = Signing(desk, Attempts(settings.sign_ins_per_minute, clock), clock)
    reader = Reader(desk, settings.crowd, settings.hourly)
    return Door(
        Doorkeeper(desk.tokens, clock),
        Library(Numbers(desk, settings.crowd).answer, clock, FRESH_SECONDS, weigh),
        Pages(signing, Library(reader.page, clock)),
    )


async def run(settings: WorkerSettings) -> None:
    """Run insights until it is told to stop."""
    assert isinstance(settings, Settings)
    storage = PostgresStorage(settings, (MIGRATIONS,))
    clock = SystemClock()

    async def compose(_broker: Broker, _storage: Storage) -> tuple[Sequence[Worker], Sequence[process.Part]]:
        desk = PostgresDesk(storage)
        server = HttpServer(door(settings, desk, clock), settings.http_host, settings.http_port)
        return (build(settings),), (Tidying(desk, clock), server)

    await process.serve(settings, storage, compose)
