"""What Kafka's Python driver raises, turned into what the loop should do next; and the driver's limits."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection, CloseReason

from services.kernel.errors import BrokerUnavailable, LaneLost

T = TypeVar("T")
REBALANCE_SECONDS = 30
"""How long a rebalance waits for a member: longer than any batch may take."""
REQUEST_SECONDS = 10

_FENCED = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.InvalidProducerIdMapping)


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Await for so long and not a moment longer; raise `TimeoutError`.

    `asyncio.wait_for` also waits for what it has cancelled. An aiokafka transaction that is cancelled aborts first,
    and a broker that has just been killed never answers that: the lane would hang, and its process would not end.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
    if not task.done():
        raise TimeoutError
    return task.result()


async def hang_up(client: Any) -> None:
    """Stop a consumer or producer that nobody uses any more; one that does not end in time is left to itself."""
    if client is not None:
        with suppress(errors.KafkaError, OSError, TimeoutError):
            await within(REQUEST_SECONDS, client.stop())


def _forget(task: "asyncio.Future[Any]") -> None:
    """Take note of how an abandoned task ended, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()


def _breaking(send: Callable[..., Any]) -> Callable[..., Any]:
    """Return a connection's `send` that says of a closed transport what aiokafka's own tasks survive.

    They expect `OSError` there. uvloop raises `RuntimeError`, of which a group's coordinator and a producer's sender
    die in silence (aio-libs/aiokafka issue 1038).
    """

    @wraps(send)
    def send_or_break(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connection, *arguments, **options)
        except errors.KafkaError:
            raise
        except RuntimeError:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise errors.KafkaConnectionError("closed") from None

    return send_or_break


for _name in ("send", "_send_sasl_token"):
    setattr(AIOKafkaConnection, _name, _breaking(getattr(AIOKafkaConnection, _name)))


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
