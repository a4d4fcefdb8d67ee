"""`POST /v1/events`: the one path that carries the load."""

import asyncio
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from starlette.responses import Response

from services.gateway import answers
from services.gateway.body import LARGE_AT_ONCE, Head, Receive, check_head, read_bytes, read_head
from services.gateway.intake import Intake
from services.gateway.refusals import Reason
from services.gateway.submission import Submission, read_body
from services.gateway.tokens import Doorkeeper
from services.kernel.telemetry import metrics

EVENTS_PER_TURN = 50
"""Events of one body that are read before other requests get a turn."""


class Events:
    """Takes one event or an array of them."""

    def __init__(self, doorkeeper: Doorkeeper, intake: Intake) -> None:
        self._doorkeeper = doorkeeper
        self._intake = intake
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def take(self, scope: MutableMapping[str, Any], receive: Receive) -> Response:
        """Return the answer once Kafka has what is acceptable; raise `Refusal` where the call as a whole is not."""
        head = read_head(scope["headers"])
        # Whoever may not call has no body read.
        storefront = await self._doorkeeper.storefront(head.authorization)
        check_head(head)
        if head.large:
            async with self._large:
                return await self._answer(storefront, head, receive)
        return await self._answer(storefront, head, receive)

    async def _answer(self, storefront: str, head: Head, receive: Receive) -> Response:
        single, read = read_body(await read_bytes(receive))
        items: list[Submission | Reason] = []
        for item in read:
            items.append(item)
            if len(items) % EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)
        reasons = await self._reasons(storefront, items, head.traceparent)
        _count(storefront, items, reasons)
        return answers.of_one(reasons[0]) if single else answers.of_several(reasons)

    async def _reasons(
        self, storefront: str, items: Sequence[Submission | Reason], traceparent: str | None
    ) -> list[Reason | None]:
        submissions = [item for item in items if isinstance(item, Submission)]
        taken = await self._intake.take(storefront, submissions, traceparent) if submissions else []
        told = iter(taken)
        return [next(told) if isinstance(item, Submission) else item for item in items]


def _count(storefront: str, items: Sequence[Submission | Reason], reasons: Sequence[Reason | None]) -> None:
    for item, reason in zip(items, reasons, strict=True):
        if reason is not None:
            metrics.EVENTS_REFUSED.labels(code=str(reason.code)).inc()
        elif isinstance(item, Submission):
            _taken(storefront, item.form.event.type).inc()


@lru_cache(maxsize=10_000)
def _taken(storefront: str, event_type: str) -> Any:
    """Return the counter, found once: looking it up costs more than counting."""
    return metrics.EVENTS_TAKEN.labels(storefront=storefront, type=event_type)
