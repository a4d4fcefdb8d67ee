"""Shipments, deliveries and timers, folded by the rules of `domain` and the registry as it is now."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from schemas.deliveries import CopyForgotten
from schemas.erasure import PartnerAcknowledged
from schemas.privacy import Event
from schemas.shipments import ShipmentRequested
from schemas.topics import RECEIPTS
from services.dispatch.domain import Terms, decide
from services.dispatch.events import AgreementEnded, ShipmentRetried
from services.dispatch.metering import count_revocations
from services.dispatch.store import ShipmentStore
from services.kernel.decision import Outgoing
from services.kernel.storage.interface import Transaction
from services.kernel.telemetry import metrics
from services.kernel.worker.endings import CONSUMED
from services.kernel.worker.fold import Fold
from services.kernel.worker.worker import Handled, Received

OWNER = "carriers"
_NEEDS_REGISTRY = (ShipmentRequested, ShipmentRetried, AgreementEnded)


class Shipments:
    """The handler of the subject lanes: a fold, with the registry before it and the partners' word after it."""

    def __init__(self, store: ShipmentStore, terms: Terms, policy: str = "1") -> None:
        self._store = store
        self._terms = terms
        self._policy = policy

    def key(self, event: Any, subject: str) -> str:
        """Return the state key: the order."""
        return str(event.order)

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Fold a batch; add what partners have acknowledged to the last word of each erased person."""
        needed = any(isinstance(each.event, _NEEDS_REGISTRY) for each in batch)
        registry = await self._store.registry(tx) if needed else {}
        fold = Fold[Any](partial(decide, self._terms, registry), self._store, self.key, self._policy)
        handled = await fold.handle(tx, batch)
        count_revocations(outgoing for each in handled for outgoing in each.outgoing)
        return await self._with_acknowledgements(tx, handled)

    async def _with_acknowledgements(self, tx: Transaction, handled: list[Handled]) -> list[Handled]:
        """Add, for erased people, what their partners have now acknowledged, to the last word of each."""
        last: dict[str, int] = {}
        for place, each in enumerate(handled):
            if isinstance(each.received.event, CopyForgotten) and each.ending == CONSUMED:
                metrics.PARTNER_FORGOT.labels(partner=each.received.event.partner).inc()
                last[each.received.subject] = place
        words = await self._store.words(tx, list(last)) if last else {}
        for subject, word in words.items():
            event: Event = PartnerAcknowledged(request=word.request, owner=OWNER, partners=word.partners)
            told = Outgoing(RECEIPTS.name, subject, event)
            each = handled[last[subject]]
            handled[last[subject]] = each._replace(outgoing=(*each.outgoing, told))
        return handled
