"""Text that PostgreSQL, JSON and a label printer can all hold.

The rules are patterns of the fast kind: checked without calling Python, and published as they stand.
"""

from pydantic import StringConstraints

# No control character (NUL stops PostgreSQL, escapes fool terminals), no byte order mark; not blank all over.
# Lone surrogates never get this far: they are no UTF-8.
_NO = r"\u0000-\u001F\u007F-\u009F\uFEFF"
_NO_BUT_BREAKS = r"\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\uFEFF"


def line(max_length: int) -> StringConstraints:
    """One line of 1 to `max_length` printable characters, not all of them white space."""
    return StringConstraints(max_length=max_length, pattern=_printable(_NO))


def note(max_length: int) -> StringConstraints:
    """The same, but line breaks and tabs are allowed: what people type into a larger field."""
    return StringConstraints(max_length=max_length, pattern=_printable(_NO_BUT_BREAKS))


def _printable(refused: str) -> str:
    return rf"^[^{refused}]*[^{refused}\s][^{refused}]*$"
