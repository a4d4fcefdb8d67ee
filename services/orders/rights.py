"""What the orders worker answers when a person wants to be forgotten (R3)."""

from services.kernel.fanout.rights import Erasing, Outcome
from services.kernel.storage.interface import Transaction
from services.orders.store import OrderStore


class OrderRights:
    """Orders without a ground go; of the others go the parts that no ground holds."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    async def erase(self, tx: Transaction, erasing: Erasing) -> Outcome:
        """Delete or anonymise; name what is kept, by which ground, until when, where a row really has it."""
        but = frozenset((held.scope, str(held.category)) for held in erasing.but)
        cleared = await self._store.clear(tx, erasing.subject, but)
        retained = tuple(held for held in erasing.but if (held.scope, held.category) in cleared.kept)
        return Outcome(erased=cleared.deleted, anonymised=cleared.anonymised, retained=retained)
