"""Compact JWS of the one form that certificates and statements have: EdDSA over Ed25519 (RFC 7515, RFC 8037).

The header has exactly `alg`, `kid` and `typ`; `kid` is the RFC 7638 thumbprint of the key. Every part must be
the canonical base64url of its bytes, so that no character of a token can change without being noticed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.kernel.errors import ConfigurationError

ALGORITHM = "EdDSA"


class NotSigned(ValueError):
    """The token is not what it should be; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Signer:
    """Signs with one Ed25519 key; the same payload always gives the same token."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.kid = thumbprint(key.public_key())

    @classmethod
    def from_pem(cls, pem: str) -> "Signer":
        """Return the signer of a PKCS 8 PEM; raise `ConfigurationError` for anything but an Ed25519 key."""
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError):
            raise ConfigurationError("signing-key") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError("signing-key")
        return cls(key)

    def sign(self, payload: bytes, typ: str) -> str:
        """Return the payload as a compact JWS of this type."""
        header = json.dumps({"alg": ALGORITHM, "kid": self.kid, "typ": typ}, separators=(",", ":")).encode()
        signed = f"{encoded(header)}.{encoded(payload)}"
        return f"{signed}.{encoded(self._key.sign(signed.encode('ascii')))}"

    def __repr__(self) -> str:
        return f"Signer({self.kid})"


@dataclass(frozen=True, slots=True)
class Token:
    """A JWS taken apart; nothing of it is verified yet."""

    text: str
    kid: str
    typ: str
    payload: bytes
    signature: bytes

    def verify(self, key: Ed25519PublicKey) -> None:
        """Raise `NotSigned` unless this key made the signature."""
        try:
            key.verify(self.signature, self.text.rpartition(".")[0].encode("ascii"))
        except InvalidSignature:
            raise NotSigned("signature") from None


def taken_apart(text: str) -> Token:
    """Return the parts of a compact JWS; raise `NotSigned` where it has not exactly our form."""
    try:
        head, body, tail = text.split(".")
        header = json.loads(decoded(head), object_pairs_hook=_once)
        payload, signature = decoded(body), decoded(tail)
    except (ValueError, RecursionError):
        raise NotSigned("form") from None
    if not isinstance(header, dict) or set(header) != {"alg", "kid", "typ"} or header["alg"] != ALGORITHM:
        raise NotSigned("header")
    if not all(isinstance(value, str) for value in header.values()):
        raise NotSigned("header")
    return Token(text, header["kid"], header["typ"], payload, signature)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a JWK set."""

    kid: str
    key: Ed25519PublicKey
    signer: str = ""
    """Principal whose key it is, where the set says so (`principal`)."""


def key_set(document: bytes) -> dict[str, PublicKey]:
    """Return the Ed25519 keys of a JWK set by kid; raise `NotSigned` ("keys") where a kid lies."""
    try:
        found = [_public_key(jwk) for jwk in json.loads(document)["keys"] if jwk.get("crv") == "Ed25519"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotSigned("keys") from None
    return {key.kid: key for key in found}


def _public_key(jwk: Mapping[str, Any]) -> PublicKey:
    key = Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))
    # The id is computed, so a set cannot give one key the name of another.
    if jwk.get("kid") != thumbprint(key):
        raise ValueError("kid is not the thumbprint")
    return PublicKey(jwk["kid"], key, str(jwk.get("principal", "")))


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return the RFC 7638 thumbprint of a public key (RFC 8037 §2)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": encoded(key.public_bytes_raw())}
    return encoded(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def encoded(data: bytes) -> str:
    """Return unpadded base64url (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """Return the bytes of unpadded base64url; raise `ValueError` unless it is their canonical form."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    # The decoder skips foreign characters and spare bits: only what encodes back the same is canonical.
    if encoded(data) != text:
        raise ValueError("not canonical base64url")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)
