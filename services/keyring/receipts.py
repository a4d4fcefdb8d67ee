"""The keyring's own word on what it destroyed: an Ed25519-signed JWS (RFC 7515, 8037) that names no person."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import SecretStr

from schemas.erasure import Held
from schemas.privacy import Category
from schemas.statements import KeyringStatement, PendingKek, digest_of
from services.kernel.errors import ConfigurationError
from services.kernel.sealing.keys import encoded
from services.kernel.sealing.lease import LEASE_SECONDS

LEASE = timedelta(seconds=LEASE_SECONDS)


class Signer:
    """Signs with one Ed25519 key, whose public half anybody may have."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._public = {"crv": "Ed25519", "kty": "OKP", "x": encoded(raw)}
        self.kid = encoded(hashlib.sha256(orjson.dumps(self._public, option=orjson.OPT_SORT_KEYS)).digest())

    @classmethod
    def of_pem(cls, pem: SecretStr) -> "Signer":
        """Return the signer of a PEM file's text; raise `ConfigurationError` for any other kind of key."""
        try:
            key = load_pem_private_key(pem.get_secret_value().encode(), password=None)
        except ValueError:
            raise ConfigurationError("signing-key-broken") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError("signing-key-not-ed25519")
        return cls(key)

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JWK; its `kid` is its RFC 7638 thumbprint."""
        return {**self._public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    def sign(self, statement: KeyringStatement) -> str:
        """Return a statement as a compact JWS."""
        header = orjson.dumps({"alg": "EdDSA", "kid": self.kid, "typ": statement.typ})
        content = f"{encoded(header)}.{encoded(statement.model_dump_json(exclude_none=True).encode())}"
        return f"{content}.{encoded(self._key.sign(content.encode()))}"


def statement(
    request: str,
    round_number: int,
    destroyed_kids: Collection[str],
    held: Iterable[Held],
    destroyed_at: datetime,
    pending: Iterable[tuple[str, int]],
) -> KeyringStatement:
    """Return what the keyring says about a subject's keys in one round: everything destroyed so far.

    `pending` are the KEK versions whose destruction makes old copies of the destroyed keys worthless,
    wherever they are (backups, replicas, dead rows); until then a copy of both is readable to whoever also
    took the KEK.
    """
    return KeyringStatement(
        request=request,
        round=round_number,
        destroyed=len(destroyed_kids),
        held=tuple(held),
        destroyed_at=destroyed_at,
        unreadable_at=destroyed_at + LEASE,
        lease_seconds=LEASE_SECONDS,
        keks_pending=tuple(PendingKek(category=Category(name), version=version) for name, version in pending),
        kids_sha256=digest_of(destroyed_kids),
    )
