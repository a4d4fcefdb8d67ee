"""Whose token is it: a random bearer token for each who may call, of which only the SHA-256 is kept.

A token has 256 random bits, so a plain digest cannot be turned back and needs no salt or slow hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping

from services.kernel.clock import Clock
from services.kernel.errors import LetheError
from services.kernel.http.recent import Recent

_SCHEME = b"bearer "


class TokenWrong(LetheError):
    """The token is missing, wrong or revoked; which of them is not said."""


def new_token() -> str:
    """Return a token with 256 random bits; it is shown once and kept nowhere."""
    return secrets.token_urlsafe(32)


def digest_of(token: bytes) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token).digest()


class Doorkeeper:
    """Knows whose the tokens are for a few seconds at a time."""

    def __init__(self, read: Callable[[], Awaitable[Mapping[bytes, str]]], clock: Clock) -> None:
        """`read` returns owners by the digest of their token, without revoked ones."""
        self._read = read
        self._known: dict[bytes, tuple[bytes, str]] = {}
        self._recent = Recent(self._read_all, clock, "tokens-unread")

    async def bearer(self, authorization: bytes) -> str:
        """Return whose token the header carries.

        Raises `TokenWrong` for none, a wrong one or a revoked one alike; `StoreUnavailable` when that cannot be known.
        """
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenWrong
        return await self.owner(authorization[len(_SCHEME) :].strip())

    async def owner(self, token: bytes) -> str:
        """Return whose token it is; raises as `bearer` does."""
        digest = digest_of(token)
        found = await self._recent.find(lambda: self._find(digest))
        if found is None:
            raise TokenWrong
        return found

    async def refresh(self) -> None:
        """Read the list again, together with whoever else waits for it; raise `StoreUnavailable` when that fails."""
        await self._recent.refresh()

    async def learn(self) -> None:
        """Read the list by a question asked after this call: what was just changed is known then.

        Raises as `refresh` does.
        """
        await self._recent.learn()

    async def _read_all(self) -> None:
        listed = await self._read()
        self._known = {_bucket(digest): (digest, owner) for digest, owner in listed.items()}

    def _find(self, digest: bytes) -> str | None:
        known, owner = self._known.get(_bucket(digest), (b"", ""))
        # The look-up by a part of the digest tells at most that part of a digest, which no token follows from.
        return owner if hmac.compare_digest(known, digest) else None


def _bucket(digest: bytes) -> bytes:
    return digest[:8]
