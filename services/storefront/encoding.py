"""From a shop's values to JSON, once, at the moment they are handed over."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

EVENT_BYTES = 256 * 1024
"""The gateway takes no larger event."""


def encoded(content: Mapping[str, Any]) -> bytes:
    """Return the JSON; raise `TypeError`, `ValueError` or `RecursionError` for what JSON cannot say without loss."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.encode("utf-8")


def _plain(value: Any) -> Any:
    """Return times with a zone, dates, enumerations and mappings as JSON knows them; money is an integer already."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
