"""The usual handler: load the states of a batch, fold `decide` over its events in order per key, store once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from services.kernel.decision import Decide, Decision, Given
from services.kernel.errors import RejectedRecord, RetryableError
from services.kernel.failpoints import Step, step
from services.kernel.ids import repeated_chance
from services.kernel.storage.interface import Transaction
from services.kernel.telemetry import log
from services.kernel.worker.endings import CONSUMED, FAILED, PARKED, REJECTED, REPEATED
from services.kernel.worker.worker import Handled, Received

State = TypeVar("State")
_log = log.get(__name__)


class Store(Protocol[State]):
    """A worker's own rows, by state key; both calls are one query for the whole batch."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, State]:
        """Return the states that exist."""

    async def save(self, tx: Transaction, states: Mapping[str, State]) -> None:
        """Insert or replace these states."""


class Fold(Generic[State]):
    """A handler around a pure `decide`."""

    def __init__(
        self, decide: Decide[State], store: Store[State], key: Callable[[Any, str], str], policy: str = "1"
    ) -> None:
        """`key(event, subject)` gives the state key: what a decision is about and what is parked together."""
        self._decide = decide
        self._store = store
        self.key = key
        self._policy = policy

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Fold the batch; a failing key does not harm the others."""
        with step(Step.LOAD):
            states = await self._store.load(tx, list({received.key for received in batch}))
        changed: dict[str, State] = {}
        failed: set[str] = set()
        handled = [self._one(tx, received, states, changed, failed) for received in batch]
        if changed:
            with step(Step.STORE):
                await self._store.save(tx, changed)
        return handled

    def _one(
        self,
        tx: Transaction,
        received: Received,
        states: dict[str, State],
        changed: dict[str, State],
        failed: set[str],
    ) -> Handled:
        key = received.key
        if key in failed:
            return Handled(received, PARKED, code="behind-failed")
        before = states.get(key)
        try:
            decision = self._decide(before, received.event, self._given(tx, received))
        except RejectedRecord as error:
            return Handled(received, REJECTED, code=error.code)
        except RetryableError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a pure function: again cannot help, so park
            _log.error("decide failed", error=type(error).__name__, event_type=received.event.type)
            failed.add(key)
            return Handled(received, FAILED, code=f"bug-{type(error).__name__}")
        if decision.state is not None and decision.state != before:
            states[key] = changed[key] = decision.state
        return _handled(received, decision, before)

    def _given(self, tx: Transaction, received: Received) -> Given:
        envelope = received.envelope
        return Given(
            envelope.id,
            received.subject,
            envelope.source,
            tx.at,
            repeated_chance(tx.seed, envelope.source, envelope.id),
            envelope.policy or self._policy,
        )


def _handled(received: Received, decision: Decision[Any], before: object) -> Handled:
    silent = not decision.outgoing and not decision.timers
    repeated = silent and decision.state == before
    return Handled(
        received,
        REPEATED if repeated else CONSUMED,
        decision.outgoing,
        decision.timers,
        stored=before is None and decision.state is not None,
    )
