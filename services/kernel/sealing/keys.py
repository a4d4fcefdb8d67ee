"""What a data key is: 32 bytes that name themselves, and what they are for."""

import binascii
import hashlib
import secrets
from dataclasses import dataclass
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.privacy import Category

KEY_BYTES = 32
_URL_SAFE, _STANDARD = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True, order=True)
class KeyRef:
    """Whose key, for which one thing, of which kind: what dies together when a key is destroyed."""

    subject: str
    category: Category
    scope: str


@dataclass(frozen=True, slots=True)
class Erased:
    """Stands where a personal value was; never an empty string, so nobody mistakes it for one."""

    kid: str


class DataKey:
    """An opened data key. Its id is always computed from the bytes, so no key can pass for another.

    The repr shows the id only. A key is neither copied nor pickled: it lives as long as the batch that needs
    it.
    """

    __slots__ = ("_material", "cipher", "kid")

    def __init__(self, material: bytes) -> None:
        if len(material) != KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        self._material = material
        self.kid = thumbprint(material)
        self.cipher = AESGCM(material)

    @classmethod
    def fresh(cls) -> "DataKey":
        """Return a new random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def of_text(cls, text: str) -> "DataKey":
        """Return the key whose bytes are given in base64url; raise `ValueError` for anything else."""
        return cls(decoded(text))

    def text(self) -> str:
        """Return the key's bytes in base64url, for the wire between keyring and worker only."""
        return encoded(self._material)

    def __repr__(self) -> str:
        return f"DataKey({self.kid})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a data key is not copied or stored")


def thumbprint(material: bytes) -> str:
    """Return the RFC 7638 thumbprint of the bytes as an `oct` JWK.

    Naming a key by its own digest commits every sealed value to one key: nobody can later pass another key
    off as an erased one to make its values say something else (AES-GCM alone does not commit).
    """
    return encoded(hashlib.sha256(b'{"k":"%b","kty":"oct"}' % encoded(material).encode()).digest())


def encoded(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE, b"=").decode()


def decoded(text: str) -> bytes:
    """Return the bytes of unpadded base64url; raise `ValueError` unless the text is canonical."""
    data = binascii.a2b_base64(text.encode().translate(_STANDARD) + b"==")
    # The decoder skips foreign characters and ignores spare bits: only a text that encodes back is
    # unambiguous.
    if encoded(data) != text:
        raise ValueError("not canonical base64url")
    return data
