"""Which storefront is calling: a random bearer token each, of which only the SHA-256 is kept.

A token has 256 random bits, so a plain digest cannot be turned back and needs no salt or slow hash.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping

from services.gateway.refusals import Code, Refusal
from services.kernel.clock import Clock
from services.kernel.errors import RetryableError

FRESH_SECONDS = 2.0
"""After this long the list of tokens is read again, in the background."""
STALE_SECONDS = 4.0
"""A list older than this is not used: a revoked token is refused at most 5 seconds later, or nobody is served."""
MISS_SECONDS = 0.25
"""An unknown token makes the list be read again, but not more often than this."""

_SCHEME = b"bearer "


def new_token() -> str:
    """Return a token with 256 random bits; it is shown once and kept nowhere."""
    return secrets.token_urlsafe(32)


def digest_of(token: bytes) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token).digest()


class Doorkeeper:
    """Knows the storefronts' tokens for a few seconds at a time."""

    def __init__(self, read: Callable[[], Awaitable[Mapping[bytes, str]]], clock: Clock) -> None:
        """`read` returns storefront ids by the digest of their token, without revoked ones."""
        self._read = read
        self._clock = clock
        self._known: dict[bytes, tuple[bytes, str]] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def storefront(self, authorization: bytes) -> str:
        """Return whose token the header carries.

        Raises `Refusal`: 401 for none, a wrong one or a revoked one alike; 503 when that cannot be known.
        """
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Refusal(Code.TOKEN_WRONG)
        digest = digest_of(authorization[len(_SCHEME) :].strip())
        age = self._clock.monotonic() - self._read_at
        if age > STALE_SECONDS:
            await self.refresh()
        elif age > FRESH_SECONDS:
            self._start_reading()
        found = self._find(digest)
        if found is None and self._clock.monotonic() - self._read_at > MISS_SECONDS:
            await self.refresh()
            found = self._find(digest)
        if found is None:
            raise Refusal(Code.TOKEN_WRONG)
        return found

    async def refresh(self) -> None:
        """Read the list again, together with whoever else waits for it; raise `Refusal` (503) when that fails."""
        started_at = self._clock.monotonic()
        await asyncio.shield(self._start_reading())
        if self._read_at < started_at - STALE_SECONDS:
            raise Refusal(Code.STORE_UNAVAILABLE)

    def _start_reading(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_once())
        return self._reading

    async def _read_once(self) -> None:
        started_at = self._clock.monotonic()
        try:
            listed = await self._read()
        except RetryableError:
            return
        self._known = {_bucket(digest): (digest, storefront) for digest, storefront in listed.items()}
        # Counted from the question, not the answer: a revocation in between belongs to the next reading.
        self._read_at = started_at

    def _find(self, digest: bytes) -> str | None:
        known, storefront = self._known.get(_bucket(digest), (b"", ""))
        # The look-up by a part of the digest tells at most that part of a digest, which no token follows from.
        return storefront if hmac.compare_digest(known, digest) else None


def _bucket(digest: bytes) -> bytes:
    return digest[:8]
