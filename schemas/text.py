"""Text that PostgreSQL, JSON and a label printer can all hold."""

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints


def printable(text: str) -> str:
    """Return the text unchanged; refuse control characters (NUL stops PostgreSQL), lone surrogates and a lone BOM."""
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t":
            raise ValueError("control character or lone surrogate")
        if character == "\ufeff":
            raise ValueError("byte order mark")
    return text


class Text:
    """`Text[n]`: 1 to n printable characters."""

    def __class_getitem__(cls, max_length: int) -> Any:
        limits = StringConstraints(min_length=1, max_length=max_length)
        return Annotated[str, limits, AfterValidator(printable)]
