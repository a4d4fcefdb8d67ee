"""Secrets of a platform: made here, kept in files of mode 0600, handed on by file only."""

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.layout import Layout, write_whole

SCRAM_ROUNDS = 4096


@dataclass(frozen=True)
class Secrets:
    """The secrets of one platform, by principal and field; a missing one is made on first use."""

    layout: Layout

    def path(self, principal: str, field: str) -> Path:
        return self.layout.secrets / principal / field

    def folder(self, principal: str) -> Path:
        """Return the directory that a principal's process is given, and nobody else's."""
        folder = self.layout.secrets / principal
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def get(
        self, principal: str, field: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    ) -> str:
        """Return a secret, made by `make` where there is none yet."""
        path = self.folder(principal) / field
        if not path.exists():
            write_whole(path, make())
        return path.read_text("utf-8")

    def put(self, principal: str, field: str, value: str) -> None:
        """Store a secret that is derived from others."""
        path = self.folder(principal) / field
        if not path.exists() or path.read_text("utf-8") != value:
            write_whole(path, value)

    def signing_key(self, principal: str) -> Ed25519PrivateKey:
        """Return the key with which a principal signs; PEM (PKCS 8) in `signing_key`."""
        pem = self.get(principal, "signing_key", _new_signing_key)
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    def keyring_tokens(self, principals: Iterable[str]) -> None:
        """Give every principal a token of its own, and the keyring their digests only."""
        tokens = {each: self.get(each, "keyring_token") for each in sorted(principals)}
        digests = {each: hashlib.sha256(token.encode()).hexdigest() for each, token in tokens.items()}
        self.put("keyring", "keyring_tokens", json.dumps(digests))


def _new_signing_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Return the public half as a JWK (RFC 8037), its `kid` the RFC 7638 thumbprint."""
    x = _base64url(key.public_key().public_bytes_raw())
    members = {"crv": "Ed25519", "kty": "OKP", "x": x}
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**members, "use": "sig", "kid": _base64url(thumbprint)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a SCRAM-SHA-256 password (RFC 5803), so that no statement carries it."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(SCRAM_ROUNDS, *encoded)
