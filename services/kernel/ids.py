"""Ids: 128 random bits for what people and partners see, derived UUIDv8 for what events cause."""

import hashlib
import hmac
import secrets
import uuid


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
    digest = bytearray(
        hashlib.sha256("\x1f".join((source, cause, event_type, str(ordinal))).encode()).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))
