"""What stands behind the keyring's HTTP interface, without a database: its own rules on the in-memory vault."""

from collections.abc import Sequence
from typing import Any

from schemas.privacy import Category, Purpose
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.keys import DataKey, Erased, KeyRef, decoded
from services.kernel.sealing.lease import Opened
from services.kernel.sealing.memory import MemoryVault
from services.keyring.domain import State, Subject
from services.keyring.minting import NewKey
from services.keyring.opening import Denied, OpenKey


class VaultService:
    """Answers as `KeyringService` does; `asked` counts what got past the door."""

    def __init__(self) -> None:
        self.vault = MemoryVault()
        self.asked = 0

    async def mint(
        self, principal: str, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str]
    ) -> tuple[list[NewKey | Refused], list[SubjectState]]:
        self.asked += 1
        minted = [(ref, self.vault.mint_one(storefront, ref)) for ref in refs]
        keys = [
            NewKey(key.kid, decoded(key.text()), ref) if isinstance(key, DataKey) else key
            for ref, key in minted
        ]
        return keys, [self.vault.state(storefront, subject) for subject in subjects]

    async def open(
        self, principal: str, purpose: Purpose, categories: frozenset[Category], kids: Sequence[str]
    ) -> list[OpenKey | Denied]:
        self.asked += 1
        answers = [self.vault.open_one(principal, purpose, kid) for kid in kids]
        return [
            OpenKey(each.key.kid, decoded(each.key.text()), each.ref)
            if isinstance(each, Opened)
            else Denied.ERASED
            if isinstance(each, Erased)
            else Denied.UNKNOWN
            for each in answers
        ]

    async def subject(self, name: str) -> Subject | None:
        self.asked += 1
        return Subject(State.ACTIVE) if name == "5" * 32 else None

    async def keks(self) -> list[dict[str, Any]]:
        return []

    async def openings(self) -> list[dict[str, Any]]:
        return []
