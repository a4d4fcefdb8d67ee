"""Readiness says what senders would be told: without the keyring nothing is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from services.gateway import watch
from services.gateway.app import Gateway
from services.gateway.watch import KeyringWatch
from services.kernel.clock import SystemClock
from services.kernel.telemetry import log
from tests.unit.gateway_room import Room


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Room, Gateway]]:
    """A whole gateway whose keyring is away when it starts."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    room = Room()
    room.vault.away = True
    gateway = Gateway(room.settings, room.keyring, room.broker, room.desk)
    await gateway.start()
    yield room, gateway
    await gateway.stop()


async def until(true: Callable[[], bool]) -> None:
    """Wait patiently until something is so."""
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def test_the_gateway_is_ready_while_the_keyring_serves_and_only_then(served) -> None:
    """It starts without the keyring, and it needs no sender to notice that the keyring went away or came back."""
    room, gateway = served
    for _ in range(2):
        room.vault.away = True
        await until(lambda: not gateway.ready)
        assert (await room.take([])).status_code == 422
        room.vault.away = False
        await until(lambda: gateway.ready)


async def test_a_keyring_that_refuses_the_gateway_is_away_too(capsys) -> None:
    """A wrong token is not mended by waiting, but nothing is taken meanwhile; the change is said once."""
    log.configure("gateway-1")
    room = Room()
    looking = KeyringWatch(room.vault.principal("gateway"), SystemClock())
    await looking.look()
    assert looking.answered
    refused = KeyringWatch(room.vault.principal("carriers"), SystemClock())
    refused.answered = True
    for _ in range(3):
        await refused.look()
        assert not refused.answered
    assert capsys.readouterr().out.count('"keyring-refused"') == 1


async def test_a_bug_in_asking_counts_as_away() -> None:
    """Fail closed: a task that died in silence would leave the last good word standing for ever."""
    looking = KeyringWatch(None, SystemClock())  # type: ignore[arg-type]
    looking.answered = True
    await looking.look()
    assert not looking.answered
