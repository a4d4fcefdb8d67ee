"""How a data key rests in the database: encrypted under a KEK, bound to what it is for."""

import secrets
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

from services.kernel.errors import ConfigurationError, RejectedRecord
from services.kernel.sealing.keys import KEY_BYTES, KeyRef, thumbprint

NONCE_BYTES = 12
_SIV, _GCM = b"\x01", b"\x02"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a wrapped key is bound to: unwrapping anything moved to another row or KEK version fails."""

    kid: str
    ref: KeyRef
    version: int

    def associated_data(self) -> bytes:
        """Return an unambiguous encoding: every part preceded by its length."""
        ref = self.ref
        texts = (self.kid, ref.subject, ref.category, ref.scope, str(self.version))
        parts = [text.encode() for text in texts]
        return b"".join([len(part).to_bytes(4) + part for part in parts])


class Kek:
    """One version of one category's key-encrypting key. The repr shows its name only; it is never copied."""

    __slots__ = ("_ciphers", "category", "thumbprint", "version")

    def __init__(self, category: str, version: int, material: bytes) -> None:
        if len(material) != KEY_BYTES:
            raise ConfigurationError("kek-broken", category=category, version=version)
        self.category = category
        self.version = version
        self.thumbprint = thumbprint(material)
        self._ciphers = _ciphers(material)

    def wrap(self, material: bytes, bound: Bound) -> bytes:
        """Return the key encrypted, with AES-256-GCM-SIV (RFC 8452) where OpenSSL has it.

        With SIV a repeated nonce shows only that two plaintexts are equal; one KEK wraps millions of keys.
        """
        form = next(iter(self._ciphers))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return form + nonce + self._ciphers[form].encrypt(nonce, material, bound.associated_data())

    def unwrap(self, wrapped: bytes, bound: Bound) -> bytes:
        """Return the key; raise `RejectedRecord` when row and ciphertext do not belong together."""
        form, nonce, box = wrapped[:1], wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
        try:
            return self._ciphers[form].decrypt(nonce, box, bound.associated_data())
        except (InvalidTag, KeyError, ValueError):
            raise RejectedRecord("unwrapping-failed", category=self.category, version=self.version) from None

    def __repr__(self) -> str:
        return f"Kek({self.category}.{self.version})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KEK is not copied or stored")


def _ciphers(material: bytes) -> dict[bytes, AESGCMSIV | AESGCM]:
    """Return the ciphers by the first byte of what they wrote, the preferred one first."""
    gcm: dict[bytes, AESGCMSIV | AESGCM] = {_GCM: AESGCM(material)}
    try:
        return {_SIV: AESGCMSIV(material), **gcm}
    except UnsupportedAlgorithm:
        return gcm
