"""Ids: 128 random bits for what people and partners see, derived UUIDv8 for what events cause."""

import hashlib
import hmac
import secrets

_VERSION_AND_VARIANT = 0xF000 << 64 | 0xC000 << 48
_VERSION_8 = 0x8000 << 64 | 0x8000 << 48
"""The bits of a UUID that say of which kind it is (RFC 9562 §4)."""


def random_id() -> str:
    """Return 128 random bits as 32 lower-case hexadecimal characters."""
    return secrets.token_hex(16)


def repeated_chance(seed: bytes, source: str, cause: str) -> str:
    """Return 128 bits that nobody without the seed can tell from random ones, the same each time for one cause."""
    return hmac.digest(seed, f"{source}\x1f{cause}".encode(), "sha256")[:16].hex()


def derived_id(source: str, cause: str, event_type: str, ordinal: int) -> str:
    """Return the id of the ordinal-th event of a type that a source emits because of a cause: UUIDv8, RFC 9562 §5.8.

    The same cause always gives the same id, so a batch that is decided again emits the same events. The source is
    part of it: two owners that answer one command with the same type of event must not use one id.
    """
    digest = hashlib.sha256("\x1f".join((source, cause, event_type, str(ordinal))).encode()).digest()
    number = int.from_bytes(digest[:16]) & ~_VERSION_AND_VARIANT | _VERSION_8
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
