"""From a recipient to what a partner's agreement allows of it, and no more (D2). Pure."""

from collections.abc import Iterable
from typing import Any

from schemas.addresses import Recipient

FIELDS = tuple(Recipient.model_fields)
"""Everything that an agreement could name."""


def project(recipient: Recipient, fields: Iterable[str]) -> dict[str, Any]:
    """Return the named parts that this recipient has, in the order of the schema; an unknown name gives nothing."""
    named = set(fields)
    parts = recipient.model_dump(mode="json")
    return {name: parts[name] for name in FIELDS if name in named and parts[name] is not None}
