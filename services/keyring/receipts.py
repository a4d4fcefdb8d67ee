"""The keyring's own word on what it destroyed: an Ed25519-signed JWS (RFC 7515, 8037) that names no person."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import SecretStr

from schemas.erasure import Held
from services.kernel.errors import ConfigurationError
from services.kernel.sealing.keys import encoded
from services.kernel.sealing.lease import LEASE_SECONDS

TYPE = "lethe-keys-destroyed+jws"
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

    def sign(self, payload: dict[str, Any], kind: str = TYPE) -> str:
        """Return the compact JWS of a payload."""
        header = orjson.dumps({"alg": "EdDSA", "kid": self.kid, "typ": kind})
        content = f"{encoded(header)}.{encoded(orjson.dumps(payload))}"
        return f"{content}.{encoded(self._key.sign(content.encode()))}"


def statement(
    signer: Signer,
    request: str,
    round_number: int,
    destroyed: int,
    held: Iterable[Held],
    destroyed_at: datetime,
    pending: Iterable[tuple[str, int]],
) -> str:
    """Return the signed statement about one round.

    `kek_versions` are those whose destruction makes old copies of the destroyed keys worthless, wherever they
    are (backups, replicas, dead rows); until then a copy of both is readable to whoever also took the KEK.
    """
    return signer.sign(
        {
            "iss": "keyring",
            "request": request,
            "round": round_number,
            "destroyed": destroyed,
            "held": [pair.model_dump(mode="json", exclude_none=True) for pair in held],
            "destroyed_at": destroyed_at.isoformat(),
            "unreadable_at": (destroyed_at + LEASE).isoformat(),
            "kek_versions": [f"{category}.{version}" for category, version in pending],
        }
    )
