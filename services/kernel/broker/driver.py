"""What Kafka's Python driver raises, turned into what the loop should do next; and the driver's limits."""

from collections.abc import Awaitable
from typing import TypeVar

from aiokafka import errors

from services.kernel.errors import BrokerUnavailable, LaneLost

T = TypeVar("T")
REBALANCE_SECONDS = 30
"""How long a rebalance waits for a member: longer than any batch may take."""
REQUEST_SECONDS = 10

_FENCED = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.InvalidProducerIdMapping)


async def available(answer: Awaitable[T]) -> T:
    """Await; turn what the driver raises into what the loop should do next."""
    try:
        return await answer
    except _FENCED as error:
        raise LaneLost(type(error).__name__) from None
    # Two of aiokafka's own that are no KafkaError: a broker that has just come back may list no brokers at all
    # (an assertion), and a batch whose predecessor failed finds its transaction gone (IllegalOperation).
    except (errors.KafkaError, OSError, TimeoutError, AssertionError, errors.IllegalOperation) as error:
        raise BrokerUnavailable(type(error).__name__) from None
