"""What Kafka's driver raises tells the loop what to do next; nothing of it may end a worker as a bug."""

import pytest
from aiokafka import errors

from services.kernel.broker.driver import available
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
