"""What an owner of data answers when a person uses a right."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from schemas.erasure import Held, PartnerCopy
from services.kernel.decision import Outgoing
from services.kernel.storage.interface import Transaction

Exceptions = frozenset[tuple[str, str]]
"""(scope, category) pairs that a ground holds and that must survive this round."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an owner did, in numbers of rows; `retained` names what it kept and by which ground."""

    erased: int = 0
    anonymised: int = 0
    retained: tuple[Held, ...] = ()
    partners: tuple[PartnerCopy, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    """Revocations and the like, published with the receipt."""


@dataclass(frozen=True, slots=True)
class Erasing:
    """One round of one person's erasure, as an owner sees it."""

    request: str
    subject: str
    but: tuple[Held, ...]
    at: datetime

    def keeps(self, scope: str, category: str | None = None) -> bool:
        """Say whether the scope (or this category of it) is excepted from the round."""
        return any(held.scope == scope and category in (None, held.category) for held in self.but)


class Rights(Protocol):
    """Implemented once per owner, in its `rights.py`."""

    async def erase(self, tx: Transaction, erasing: Erasing) -> Outcome:
        """Delete or anonymise every row of the subject that is not excepted; say what was found and kept.

        Called again for every round, with fewer exceptions, and again after a restore: an empty answer is
        right only when an earlier round did the work.
        """
