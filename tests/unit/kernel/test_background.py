"""What goes on beside the loops: until it is stopped, and a bug in it is not silent."""

import asyncio
import json
from contextlib import nullcontext

import pytest

from services.kernel.telemetry import log
from services.kernel.worker import background
from services.kernel.worker.background import Background


class Counting(Background):
    """Counts until cancelled, or divides by zero where it is told to."""

    def __init__(self, wrong_at: int = -1) -> None:
        self.count = 0
        self._wrong_at = wrong_at

    async def _work(self) -> None:
        while True:
            self.count += 1 // (self.count - self._wrong_at)
            self.count += 1
            await asyncio.sleep(0)


class Deaf(Background):
    """Loses the first cancellations, as `asyncio.wait_for` may."""

    def __init__(self) -> None:
        self.lost = 0

    async def _work(self) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.lost += 1
                if self.lost == 3:
                    raise


async def test_it_goes_on_until_it_is_stopped() -> None:
    part = Counting()
    await part.stop()
    assert not part.ready
    await part.start()
    await asyncio.sleep(0.01)
    assert part.ready
    await part.stop()
    reached = part.count
    assert reached and not part.ready
    await asyncio.sleep(0.01)
    assert part.count == reached


async def test_a_bug_is_told_when_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("sample-1")
    part = Counting(wrong_at=0)
    await part.start()
    await asyncio.sleep(0.01)
    (said,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (said["event"], said["error"]) == ("background work ended", "ZeroDivisionError")
    assert not part.ready
    with pytest.raises(ZeroDivisionError):
        await part.stop()


@pytest.mark.parametrize("wrong_at", [-1, 0])
async def test_a_bug_asks_the_process_to_stop(wrong_at: int) -> None:
    """Also one in a part of a part; nobody else would start it again. To be stopped is no bug."""

    class Whole(Counting):
        async def start(self) -> None:
            self.inner = Counting(wrong_at)
            await self.inner.start()
            await super().start()

        async def stop(self) -> None:
            await super().stop()
            await self.inner.stop()

    stopping = asyncio.Event()
    token = background.STOPPING.set(stopping)
    part = Whole()
    await part.start()
    await asyncio.sleep(0.01)
    with pytest.raises(ZeroDivisionError) if wrong_at == 0 else nullcontext():
        await part.stop()
    assert stopping.is_set() is (wrong_at == 0)
    background.STOPPING.reset(token)


async def test_a_cancellation_that_nobody_asked_for_is_a_bug() -> None:
    """What it awaits may be cancelled by somebody else: the part would end, and its process stay."""

    class Cancelled(Counting):
        async def _work(self) -> None:
            raise asyncio.CancelledError

    stopping = asyncio.Event()
    token = background.STOPPING.set(stopping)
    part = Cancelled()
    await part.start()
    await asyncio.sleep(0.01)
    assert stopping.is_set() and not part.ready
    with pytest.raises(RuntimeError):
        await part.stop()
    background.STOPPING.reset(token)


async def test_a_cancellation_that_is_lost_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the process would never end, and whoever waits for it neither."""
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.01)
    part = Deaf()
    await part.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await part.stop()
    assert part.lost == 3


async def test_whoever_stops_it_may_be_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Deaf()
    await part.start()
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await part.stop()
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.01)
    await part.stop()
    assert part.lost == 3
