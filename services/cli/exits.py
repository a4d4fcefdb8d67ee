"""How the command line ends: one exit code per kind of answer, the same for every verb."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from deploy.local.errors import PlatformError, PlatformUnavailable
from services.kernel.errors import LetheError, RetryableError


class Exit(IntEnum):
    """0 done · 1 the answer is no · 2 wrong usage · 3 refused by a rule · 4 unavailable · 5 incomplete."""

    DONE = 0
    NO = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    INCOMPLETE = 5


class Ended(Exception):
    """Ends a verb that cannot go on, with an exit code and a reason that holds no personal value."""

    def __init__(self, exit_code: Exit, reason: str, **fields: Any) -> None:
        self.exit_code, self.reason, self.fields = exit_code, reason, fields
        super().__init__(reason)


def of(error: Exception) -> Ended | None:
    """Return how a known error ends a verb; None for one that is a bug."""
    if isinstance(error, Ended):
        return error
    if isinstance(error, PlatformError):
        return Ended(Exit.UNAVAILABLE if isinstance(error, PlatformUnavailable) else Exit.REFUSED, str(error))
    if isinstance(error, LetheError):
        unavailable = isinstance(error, RetryableError)
        return Ended(
            Exit.UNAVAILABLE if unavailable else Exit.REFUSED, str(error), code=error.code, **error.fields
        )
    return None


def as_json(ended: Ended) -> Mapping[str, Any]:
    """Return the JSON form of a failed verb."""
    return {"error": ended.reason, "exit": ended.exit_code.name.lower(), **ended.fields}
