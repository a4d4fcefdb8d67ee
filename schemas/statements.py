"""What the keyring signs about one destruction, and how a request is committed to its subject.

A statement travels as a compact JWS (RFC 7515): `alg` EdDSA over Ed25519 (RFC 8037), `kid` the RFC 7638
thumbprint of the signing key, `typ` as below. Its payload is the JSON of `KeyringStatement`; nothing in it
names the subject.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from schemas.erasure import Count, HeldPairs, Moment, Round
from schemas.ids import RequestId
from schemas.privacy import Category, Clear, Contract

KEYRING_STATEMENT = "lethe-keyring-statement/1"

Digest = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$"),
    Clear("SHA-256 over random key ids, base64url without padding"),
]


class PendingKek(Contract):
    """A KEK version that wrapped destroyed keys and still exists: it unwraps stale copies of them."""

    category: Annotated[Category, Clear("an enumeration")]
    version: Annotated[int, Field(ge=1), Clear("counts the KEKs of a category")]


class KeyringStatement(Contract):
    """What died in one round, what is held and by which ground, as the keyring itself signs it."""

    typ: ClassVar[str] = "lethe-keyring-statement+jwt"

    format: Annotated[Literal["lethe-keyring-statement/1"], Clear("a constant")] = "lethe-keyring-statement/1"
    request: RequestId
    round: Round
    destroyed: Count
    """Keys destroyed so far, over all rounds."""
    held: HeldPairs
    destroyed_at: Moment
    unreadable_at: Moment
    """`destroyed_at` plus the lease: no opened key outlives this moment."""
    lease_seconds: Annotated[float, Field(gt=0), Clear("a setting of the keyring")]
    keks_pending: Annotated[tuple[PendingKek, ...], Field(strict=False), Clear("classified field by field")]
    kids_sha256: Digest
    """`digest_of` the ids of the destroyed keys."""


def digest_of(kids: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted key ids, joined by newlines, in base64url without padding."""
    return _base64url(hashlib.sha256("\n".join(sorted(kids)).encode("ascii")).digest())


def commitment_of(salt: str, subject: str) -> str:
    """Return what a request says instead of its subject: SHA-256 of `<salt>.<subject>`, unpadded base64url.

    The salt is 16 or 32 random bytes in lower-case hexadecimal, known to the requester alone; who lacks it cannot
    try out subject ids against a certificate.
    """
    return _base64url(hashlib.sha256(f"{salt}.{subject}".encode("ascii")).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
