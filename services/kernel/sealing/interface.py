"""What a worker may ask of the keyring."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schemas.privacy import Purpose
from services.kernel.sealing.keys import DataKey, KeyRef
from services.kernel.sealing.lease import Lease, Want
from services.kernel.sealing.tagging import TagKey

MOST_PER_CALL = 1000
"""Keys in one call to the keyring; longer questions are asked in parts."""


class Refused(StrEnum):
    """Why no key was minted."""

    SUBJECT_ERASED = "subject-erased"
    """The subject is erased, or is being erased and no ground holds this scope and category."""
    SUBJECT_FOREIGN = "subject-foreign"
    """Another storefront brought this subject."""
    CATEGORY_FORBIDDEN = "category-forbidden"


class SubjectState(StrEnum):
    """How a subject stands, as seen by one storefront."""

    ACTIVE = "active"
    ERASING = "erasing"
    ERASED = "erased"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Minted:
    """The answers to one `mint`, each in the order of its question."""

    keys: tuple[DataKey | Refused, ...]
    subjects: tuple[SubjectState, ...] = ()


class Keyring(Protocol):
    """Mints for whoever writes, opens for whoever may read.

    All raise `KeyringUnavailable` when the keyring is away or not ready, and `ConfigurationError` when this
    principal has no such right at all.
    """

    async def mint(self, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str] = ()) -> Minted:
        """Return one fresh key per ref, and how the other subjects stand.

        Binds unseen subjects to the storefront. Never returns a key that exists already: who mints cannot
        read what was sealed before.
        """

    def lease(self, purpose: Purpose, wants: Sequence[Want]) -> AbstractAsyncContextManager[Lease]:
        """Enter a lease on the keys of these values.

        Leaving it normally after its end raises `LeaseExpired`, so keep it open around whatever must not
        happen late. The keys are gone when it is left.
        """

    async def tag_key(self) -> TagKey:
        """Return the tag key that lives now; it dies at the next midnight (UTC) of the keyring's clock.

        One that was lost before is followed by another with a higher number. The caller may keep it until it dies.
        """

    async def close(self) -> None:
        """Let go of connections; calls in flight fail."""
