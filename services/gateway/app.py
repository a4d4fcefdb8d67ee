"""Composition: the HTTP door, and the loop that hears how erasures are going."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from schemas import topics
from services.gateway.behind import Behind
from services.gateway.clicks.anonymiser import Anonymiser, Mixing
from services.gateway.clicks.collect import Collect
from services.gateway.clicks.sites import Sites
from services.gateway.domain import Request, decide
from services.gateway.erasures import Erasures
from services.gateway.events import Events
from services.gateway.http import Door
from services.gateway.intake import Intake
from services.gateway.jwks import CertificateKeys
from services.gateway.settings import Settings
from services.gateway.store import Desk, PostgresDesk, RequestStore
from services.gateway.tokens import Doorkeeper
from services.gateway.watch import KeyringWatch
from services.kernel.broker.interface import Broker, Producer
from services.kernel.clock import SystemClock
from services.kernel.http.server import HttpServer
from services.kernel.sealing.interface import Keyring
from services.kernel.settings import WorkerSettings
from services.kernel.storage.interface import Storage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.worker import process
from services.kernel.worker.fold import Fold, Store
from services.kernel.worker.keyring import keyring_of
from services.kernel.worker.worker import Worker

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: Settings, store: Store[Request] | None = None) -> Worker:
    """Return the worker that folds what the erasure worker says about requests."""
    rows = store or RequestStore()
    fold = Fold(decide, rows, key=lambda event, _: event.request, policy=settings.policy_version)
    return Worker(name=settings.principal, reads=topics.read_by("gateway"), handler=fold)


class Composed(NamedTuple):
    """The HTTP application on its ports, and what must be started with it and closed after it."""

    app: Door
    behind: Behind
    anonymiser: Anonymiser
    clicks: Behind
    """Of the anonymiser alone: a lane of clicks that Kafka cannot take must hold no order."""


def door(
    settings: Settings, keyring: Keyring, producer: Producer, for_clicks: Producer, desk: Desk
) -> Composed:
    """Return the HTTP application and its parts."""
    clock = SystemClock()
    behind, clicks = Behind(keyring, producer), Behind(keyring, for_clicks)
    mixing = Mixing(settings.crowd, settings.hourly, settings.flush_seconds)
    anonymiser = Anonymiser(keyring, clicks, clock, mixing, settings.policy_version)
    intake = Intake(behind, clock, settings.policy_version)
    erasures = Erasures(desk, behind, clock, settings.policy_version)
    doorkeeper = Doorkeeper(desk.tokens, clock)
    app = Door(
        doorkeeper,
        Events(doorkeeper, intake),
        erasures,
        CertificateKeys(settings.certificate_keys),
        Collect(Sites(desk.sites, clock), anonymiser, settings.trusted_proxies),
    )
    return Composed(app, behind, anonymiser, clicks)


class Gateway:
    """What the process runs beside its loop."""

    def __init__(self, settings: Settings, keyring: Keyring, broker: Broker, desk: Desk) -> None:
        self._keyring = keyring
        self._watch = KeyringWatch(keyring, SystemClock())
        self._producers = (broker.producer(), broker.producer())
        self._parts = door(settings, self._keyring, *self._producers, desk)
        self._server = HttpServer(self._parts.app, settings.http_host, settings.http_port)

    @property
    def ready(self) -> bool:
        """Whether it serves, and could take an event: without the keyring every one is answered with 503."""
        return self._server.ready and self._watch.ready

    async def start(self) -> None:
        """Connect, then serve."""
        for producer in self._producers:
            await producer.start()
        await self._parts.anonymiser.start()
        # What start-up made lives as long as the process: searching it for garbage under load finds nothing.
        gc.collect()
        gc.freeze()
        await self._server.start()
        await self._watch.start()

    async def stop(self) -> None:
        """Finish the requests in hand, then let go of what they need."""
        await self._server.stop()
        await self._watch.stop()
        # What is a crowd leaves now; nobody can send any more.
        await self._parts.anonymiser.stop()
        for behind in (self._parts.clicks, self._parts.behind):
            await behind.close()
        for producer in self._producers:
            await producer.stop()
        await self._keyring.close()


async def run(settings: WorkerSettings) -> None:
    """Run the gateway until it is told to stop."""
    assert isinstance(settings, Settings)
    storage = PostgresStorage(settings, (MIGRATIONS,))

    async def compose(broker: Broker, _: Storage) -> tuple[Sequence[Worker], Sequence[process.Part]]:
        return (build(settings),), (Gateway(settings, keyring_of(settings), broker, PostgresDesk(storage)),)

    await process.serve(settings, storage, compose)


def main() -> None:
    """Run from the environment."""
    process.main(Settings.from_environment, run)
