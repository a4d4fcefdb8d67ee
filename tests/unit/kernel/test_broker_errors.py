"""What Kafka's driver raises tells the loop what to do next; nothing of it may end a worker as a bug."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiokafka
import pytest
from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import OffsetAndMetadata

from services.kernel.broker import kafka
from services.kernel.broker.driver import available, within
from services.kernel.broker.interface import TopicPartition
from services.kernel.broker.kafka import KafkaBroker
from services.kernel.errors import BrokerUnavailable, LaneLost
from services.kernel.settings import WorkerSettings
from tests.fixtures.database import settings_at


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
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await within(0.01, work())
    work.let_go.set()


async def test_who_is_cancelled_does_not_wait_for_the_driver_either() -> None:
    work = Stubborn()
    waiting = asyncio.create_task(within(60, work()))
    await work.began.wait()
    waiting.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await waiting
    work.let_go.set()


async def test_what_answers_in_time_is_returned_and_what_fails_is_raised() -> None:
    assert await within(60, asyncio.sleep(0, "answer")) == "answer"
    with pytest.raises(ZeroDivisionError):
        await within(60, _fail(ZeroDivisionError()))


class Closed:
    """A transport's writer under uvloop, once the broker has gone."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "send",
    [
        lambda broken: broken.send(MetadataRequest(topics=[])),
        lambda broken: broken._send_sasl_token(b"token"),
    ],
    ids=["request", "login"],
)
async def test_a_connection_that_has_closed_under_uvloop_is_a_broken_connection(
    send: Callable[[AIOKafkaConnection], object],
) -> None:
    """The coordinator of a group and the sender of a producer survive nothing else (aiokafka issue 1038)."""
    broken = AIOKafkaConnection("127.0.0.1", 1)
    broken._writer, broken._versions = Closed(), {MetadataRequest.API_KEY: (0, 1)}
    with pytest.raises(errors.KafkaConnectionError):
        send(broken)
    assert not broken.connected()


class Coordinator:
    """An admin client whose broker answers for one group: with a position, or, just back, with nothing."""

    def __init__(self, offsets: list[dict[Any, OffsetAndMetadata]]) -> None:
        self._offsets = offsets

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def list_consumer_group_offsets(self, _: str, **__: Any) -> dict[Any, OffsetAndMetadata]:
        return self._offsets.pop(0)


async def test_a_group_that_is_not_known_yet_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not taken for one that has published nothing, whose rows would be published again; nor for a bug."""
    lane = TopicPartition("words", 3)
    known = {aiokafka.TopicPartition(*lane): OffsetAndMetadata(7, "")}
    none_yet = {aiokafka.TopicPartition(*lane): OffsetAndMetadata(-1, "")}
    answers = Coordinator([{}, known, none_yet])
    monkeypatch.setattr(kafka, "AIOKafkaAdminClient", lambda **_: answers)
    broker = KafkaBroker(settings_at("postgresql://sample:-@127.0.0.1:1/lethe", WorkerSettings))
    with pytest.raises(BrokerUnavailable, match="group-unknown-yet"):
        await broker._position("sample.outbox", lane)
    assert await broker._position("sample.outbox", lane) == 7
    assert await broker._position("sample.outbox", lane) == 0
