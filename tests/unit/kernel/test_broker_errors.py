"""What Kafka's driver raises tells the loop what to do next; nothing of it may end a worker as a bug."""

import asyncio

import pytest
from aiokafka import errors

from services.kernel.broker.driver import available, within
from services.kernel.errors import BrokerUnavailable, LaneLost


async def _fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        errors.KafkaConnectionError(),
        errors.IllegalOperation("a batch after one that failed its transaction"),
        AssertionError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    with pytest.raises(BrokerUnavailable) as found:
        await available(_fail(error))
    assert found.value.code == type(error).__name__


@pytest.mark.parametrize(
    "error", [errors.ProducerFenced, errors.InvalidProducerEpoch, errors.InvalidProducerIdMapping]
)
async def test_a_fenced_producer_has_lost_its_lane(error: type[errors.KafkaError]) -> None:
    with pytest.raises(LaneLost):
        await available(_fail(error()))


async def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError):
        await available(_fail(ZeroDivisionError()))


class Stubborn:
    """Work that, once cancelled, does not end before it is let go: an abort that a dead broker never answers."""

    def __init__(self) -> None:
        self.began, self.let_go = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        try:
            self.began.set()
            await asyncio.Event().wait()
        finally:
            await self.let_go.wait()


async def test_a_deadline_holds_whatever_the_driver_does_when_it_is_cancelled() -> None:
    """A lane that waited for such an abort hung, and its process did not end when asked to."""
    work = Stubborn()
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await within(0.01, work())
    work.let_go.set()


async def test_who_is_cancelled_does_not_wait_for_the_driver_either() -> None:
    work = Stubborn()
    waiting = asyncio.create_task(within(60, work()))
    await work.began.wait()
    waiting.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await waiting
    work.let_go.set()


async def test_what_answers_in_time_is_returned_and_what_fails_is_raised() -> None:
    assert await within(60, asyncio.sleep(0, "answer")) == "answer"
    with pytest.raises(ZeroDivisionError):
        await within(60, _fail(ZeroDivisionError()))
