"""What partners report, each on a topic of its own: given back to the subject whose parcel it is.

A partition here is nobody's lane: the only effects are outgoing events and dead letters, and rows are only read.
"""

from collections.abc import Sequence
from typing import Any

from schemas.partners import CopyErased, ParcelReported
from schemas.topics import Topic, for_carrier
from services.dispatch.domain import Copy, report
from services.dispatch.store import ShipmentStore
from services.kernel.errors import RejectedRecord
from services.kernel.storage.interface import Transaction
from services.kernel.worker.endings import CONSUMED, REJECTED, REPEATED
from services.kernel.worker.worker import Handled, Received

PATTERN = r"^partner\.[a-z][a-z0-9-]{1,30}\.updates$"


class Updates:
    """The handler of the partners' topics."""

    def __init__(self, store: ShipmentStore) -> None:
        self._store = store

    def key(self, event: Any, subject: str) -> str:
        """Return the state key: the reference."""
        return str(event.reference)

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Look all references up at once; an unknown one, or another partner's, is a dead letter."""
        copies = await self._store.copies(tx, list({each.key for each in batch}))
        return [_handled(each, copies.get(each.key)) for each in batch]


def _handled(received: Received, copy: Copy | None) -> Handled:
    event = received.event
    assert isinstance(event, ParcelReported | CopyErased)  # The decoder lets nothing else in.
    try:
        # Who reports is who may write this topic: what the record says of its source proves nothing.
        outgoing = report(copy, partner_of(received.record.topic), event)
    except RejectedRecord as error:
        return Handled(received, REJECTED, code=error.code)
    return Handled(received, CONSUMED if outgoing else REPEATED, outgoing)


def partner_of(topic: str) -> str:
    """Return whose updates travel on a topic of that name."""
    return topic.removeprefix("partner.").removesuffix(".updates")


def topic_named(name: str) -> Topic:
    """Return what travels on a topic whose name fits the pattern."""
    return for_carrier(partner_of(name))[1]
