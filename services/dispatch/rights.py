"""What dispatch answers when a person wants to be forgotten (R3, D4)."""

from collections.abc import Mapping

from schemas.privacy import Category
from services.dispatch.domain import UNSEEN, Shipment, Terms, erase
from services.dispatch.metering import count_revocations
from services.dispatch.store import ShipmentStore
from services.kernel.decision import Decision, Timer
from services.kernel.fanout.rights import Erasing, Outcome
from services.kernel.storage.interface import TimerRow, Transaction


class DispatchRights:
    """Shipments without a ground go, or shrink to what the partner's acknowledgement needs; partners are told."""

    def __init__(self, store: ShipmentStore, terms: Terms) -> None:
        self._store = store
        self._terms = terms

    async def erase(self, tx: Transaction, erasing: Erasing) -> Outcome:
        """Delete what no partner has seen, reduce the rest, revoke every copy; say what partners owe."""
        rows = await self._store.of_subject(tx, erasing.subject)
        kept = {row.order: row for row in rows if erasing.keeps(row.order, Category.LOGISTICS)}
        decided = {
            row.order: erase(self._terms, row, erasing.request, tx.at)
            for row in rows
            if row.order not in kept
        }
        await self._carry_out(tx, decided)
        outgoing = tuple(each for decision in decided.values() for each in decision.outgoing)
        count_revocations(outgoing)
        words = (await self._store.words(tx, [erasing.subject])).get(erasing.subject)
        return Outcome(
            erased=sum(each.state is None for each in decided.values()),
            anonymised=sum(
                row.order in decided and row.stage not in UNSEEN and not row.request for row in rows
            ),
            # Whatever its stage: a row that is kept for a ground and not named would look like nothing found.
            retained=tuple(
                held for held in erasing.but if held.category is Category.LOGISTICS and held.scope in kept
            ),
            partners=words.partners if words else (),
            outgoing=outgoing,
        )

    async def _carry_out(self, tx: Transaction, decided: Mapping[str, Decision[Shipment | None]]) -> None:
        gone = [order for order, each in decided.items() if each.state is None]
        left = {order: each.state for order, each in decided.items() if each.state is not None}
        timers = [timer for each in decided.values() for timer in each.timers]
        if gone:
            await self._store.delete(tx, gone)
        if left:
            await self._store.save(tx, left)
        if timers:
            await tx.schedule([_reminder(tx, timer) for timer in timers])


def _reminder(tx: Transaction, timer: Timer) -> TimerRow:
    # Under nobody's name: what a partner owes outlives everything else that is kept for the person here.
    body = timer.event.model_dump_json().encode()
    return TimerRow(timer.event.scope or "", timer.event.type, "", None, body, tx.at + timer.after)
