"""What can go wrong while a platform is started or stopped.

PlatformError
├── PlatformRefused      a rule says no: wrong digest, foreign owner, unknown worker
└── PlatformUnavailable  something does not answer, or cannot be fetched
"""


class PlatformError(Exception):
    """The platform could not be brought into the wanted state; the message says why and what to do."""


class PlatformRefused(PlatformError):
    """A rule forbids what was asked."""


class PlatformUnavailable(PlatformError):
    """A part of the platform does not answer, or could not be fetched."""
