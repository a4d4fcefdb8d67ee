"""Errors, grouped by what to do next.

    LetheError
    ├── RetryableError        pause, back off, try again; nothing was recorded
    │   ├── BrokerUnavailable
    │   ├── StoreUnavailable
    │   ├── KeyringUnavailable
    │   ├── LeaseExpired      the batch took longer than the lease on its keys
    │   └── LaneLost          another owner holds the lane, or the batch was fetched from elsewhere
    ├── RejectedRecord        never try again: dead letter, with a code and a field path, never a value
    ├── StoreRejected         the database refuses the data (SQLSTATE class 22 or 23): bisect
    ├── SubjectErased         expected, never an alarm
    └── ConfigurationError    refuse to start, or stop

The docstring of a class is its default message. Errors carry fields, not prose, and no personal value.
"""

from typing import Any


class LetheError(Exception):
    """Something that Lethe knows how to handle."""

    def __init__(self, code: str = "", **fields: Any) -> None:
        self.code = code or type(self).__name__
        self.fields = fields
        super().__init__(self.code)

    def __str__(self) -> str:
        details = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return " ".join(part for part in (self.__doc__ or "", self.code, details) if part)


class RetryableError(LetheError):
    """Something outside is unavailable: back off and try again."""


class BrokerUnavailable(RetryableError):
    """Kafka cannot be reached, or answered with a transient error."""


class StoreUnavailable(RetryableError):
    """PostgreSQL cannot be reached, or answered with a transient error."""


class KeyringUnavailable(RetryableError):
    """The keyring cannot be reached, or is not ready to serve."""


class LeaseExpired(RetryableError):
    """The lease on the batch's keys ended before the batch did."""


class LaneLost(RetryableError):
    """Another owner has the lane, or the batch was not fetched from the stored position."""


class RejectedRecord(LetheError):
    """The record breaks its contract or a rule; it will never be accepted."""


class StoreRejected(LetheError):
    """The database refuses the data of this statement."""


class SubjectErased(LetheError):
    """The subject has been erased."""


class ConfigurationError(LetheError):
    """The worker refuses to run like this."""
