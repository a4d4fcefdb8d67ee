"""A worker that nobody sends anything to still notices when something it needs is away."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import pytest

from services.kernel.broker.interface import TopicPartition
from services.kernel.clock import SystemClock
from services.kernel.errors import BrokerUnavailable, StoreUnavailable
from services.kernel.ids import random_id
from services.kernel.telemetry import metrics
from services.kernel.worker.lane import Lane
from services.kernel.worker.loop import Loop
from services.kernel.worker.watch import Watch
from services.kernel.worker.worker import Worker
from tests.unit.kernel.sample import World, said, worker

ANNA, ORDER = random_id(), random_id()
LONG_SECONDS = 2.0
"""No task of the loop waits for so long but after many failures."""


class Hurried(SystemClock):
    """Waits a little, however long it is told to."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.005)


async def seen(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_quiet_worker_is_not_ready_while_kafka_is_away() -> None:
    world = World()
    loop = world.start(clock=Hurried())
    await seen(lambda: loop.ready)
    world.broker.away = True
    await seen(lambda: not loop.ready)
    world.broker.away = False
    await seen(lambda: loop.ready)
    await world.stop()


async def test_the_lag_of_lanes_that_went_to_another_instance_is_told_no_longer() -> None:
    """Its last figure would stand for ever, and whoever scales on the lag would never see it at zero."""
    world = World()
    world.broker.append(said(ANNA, ORDER, "one"))
    mine = {TopicPartition("words", number): 0 for number in range(12)}
    watch = Watch(world.broker.consumer("sample", ["words"]), world.storage, Hurried(), lambda: mine)
    assert await watch._look()
    assert told_of("words") == set(range(12))
    for number in range(6):
        del mine[TopicPartition("words", number)]
    assert await watch._look()
    assert told_of("words") == set(range(6, 12))
    mine.clear()
    assert await watch._look()
    assert told_of("words") == set()


def told_of(topic: str) -> set[int]:
    """Return the partitions of a topic whose lag is told."""
    return {int(number) for name, number in metrics.LAG._metrics if name == topic}


async def test_a_quiet_worker_is_not_ready_while_its_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    loop = world.start(clock=Hurried())
    await seen(lambda: loop.ready)

    async def away() -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(world.storage, "backlog", away)
        await seen(lambda: not loop.ready)
    await seen(lambda: loop.ready)
    await world.stop()


async def test_a_topic_without_letters_again_says_so() -> None:
    world = World()
    loop = world.start(clock=Hurried())
    await seen(lambda: loop.ready)
    letters = metrics.DEAD_LETTER_ROWS.labels(topic="words")
    world.broker.append(said(ANNA, ORDER, "no"))
    await seen(lambda: letters._value.get() == 1)
    world.storage.tables.letters.clear()
    await seen(lambda: letters._value.get() == 0)
    await world.stop()


async def test_a_consumer_that_only_fails_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's coordinator can die of an error; its consumer then fails for ever, and holds its lanes."""
    world = World()
    clock = Hurried()
    loop = world.start(clock=clock)
    await seen(lambda: loop.ready)
    consumer, began = loop._consumer, clock.monotonic()

    async def dead(timeout_seconds: float) -> None:
        raise BrokerUnavailable("dead")

    start = consumer.start

    async def start_anew(listener: Loop) -> None:
        monkeypatch.undo()
        await start(listener)

    monkeypatch.setattr(consumer, "fetch", dead)
    monkeypatch.setattr(consumer, "start", start_anew)
    await seen(lambda: not loop.ready)
    monkeypatch.setattr(clock, "monotonic", lambda: began + 60)
    await seen(lambda: loop.ready)
    world.broker.append(said(ANNA, ORDER, "one"))
    await world.settle(1)
    assert world.heard() == {ORDER: ("one",)}
    await world.stop()


async def test_a_bug_in_a_side_task_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers that have stopped in silence would keep orders open for ever."""
    world = World()

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.storage, "waiting", broken)
    loop = Loop(worker(), world.broker, world.storage, clock=Hurried())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(loop.run(), 30)


@pytest.mark.parametrize("broken", ["fetch", "offer", "lane", "rejoin"])
async def test_a_bug_on_the_fetching_side_ends_the_worker(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that reads nothing any more must not go on calling itself ready."""
    world = World()
    loop = Loop(worker(), world.broker, world.storage, clock=Hurried())
    running = asyncio.create_task(loop.run())
    await seen(lambda: loop.ready)

    def bug(*_: object) -> NoReturn:
        raise ZeroDivisionError

    async def away(timeout_seconds: float) -> NoReturn:
        raise BrokerUnavailable("away")

    match broken:
        case "fetch":
            monkeypatch.setattr(loop._consumer, "fetch", bug)
        case "offer":
            monkeypatch.setattr(Lane, "offer", bug)
        case "lane":
            monkeypatch.setattr(Worker, "lane", bug)
        case "rejoin":
            monkeypatch.setattr(loop, "_rejoin_if_hopeless", bug)
            monkeypatch.setattr(loop._consumer, "fetch", away)
    world.broker.append(said(ANNA, ORDER, "one"))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(running, 10)
    assert not loop.ready


async def test_a_batch_that_always_fails_is_tried_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try begins the lane anew, which succeeds; that alone must not make the next wait short again."""
    world, waited = World(), list[float]()

    class Noting(Hurried):
        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            await super().sleep(seconds)

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    loop = world.start(clock=Noting())
    await seen(lambda: loop.ready)
    with monkeypatch.context() as broken:
        broken.setattr(loop._turn, "handle", away)
        world.broker.append(said(ANNA, ORDER, "one"))
        await seen(lambda: max(waited) > LONG_SECONDS)
    await world.settle(1)
    await world.stop()
