"""The ids a shop makes itself, so that a retry after a lost answer carries the same ones."""

import secrets
import uuid
from datetime import UTC, datetime


def new_id() -> str:
    """Return 128 random bits as 32 lower-case hexadecimal characters: for a subject, an order, a request, a salt.

    Never derive one from an address, an account or an order number: it must lead to nobody.
    """
    return secrets.token_hex(16)


def new_event_id() -> str:
    """Return a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def this_hour() -> str:
    """Return the start of this hour; the exact time of a customer's act travels inside the sealed data, if at all."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z")
