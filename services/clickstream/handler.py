"""The clickstream's handler in the worker loop: records are counted, a due timer closes a piece."""

from collections.abc import Sequence

from schemas.clicks import CellsSeen
from schemas.privacy import Event
from services.clickstream.closing import Closer
from services.clickstream.counting import take_in
from services.clickstream.domain import Closing, Rules
from services.clickstream.store import ClickStore
from services.kernel.storage.interface import TimerRow, Transaction
from services.kernel.worker.endings import CONSUMED
from services.kernel.worker.worker import Handled, Received


class Clicks:
    """Counts and closes, lane by lane."""

    def __init__(self, store: ClickStore, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def key(self, event: Event, subject: str) -> str:
        """Records of a shop wait for each other where one fails, a lane's closing for nothing."""
        return closing_key(event.lane) if isinstance(event, Closing) else event.storefront  # type: ignore[attr-defined]

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Count the records of the batch, then close what is due; say of each how it ended."""
        records = [each for each in batch if isinstance(each.event, CellsSeen)]
        handled: dict[int, Handled] = {}
        if records:
            lane = records[0].record.partition
            ended = await take_in(self._store, self._rules, tx, lane, records)
            handled = {id(each): done for each, done in zip(records, ended, strict=True)}
        for each in batch:
            if isinstance(each.event, Closing):
                closer = Closer(self._store, self._rules, tx, each.event.lane)
                timers = await closer.close_some()
                handled[id(each)] = Handled(each, CONSUMED, tuple(closer.outgoing), timers)
        return [handled[id(each)] for each in batch]


def closing_key(lane: int) -> str:
    """Return the state key of a lane's reminder; no shop is called that. Ids of what it publishes depend on it."""
    return f"(closing)/{lane}"


def reminder(lane: int, tx: Transaction) -> TimerRow:
    """Return the timer that makes a lane close what is to be closed, now."""
    event = Closing(lane=lane)
    return TimerRow(closing_key(lane), event.type, "", None, event.model_dump_json().encode(), tx.at)
