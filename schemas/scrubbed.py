"""What is personal in a search term by its form, and what stands in the term's place (C3)."""

from enum import StrEnum


class Scrubbed(StrEnum):
    """Kinds of things for which a whole search term becomes a placeholder. Nobody keeps a second list."""

    EMAIL = "e-mail"
    LINK = "link"
    NETWORK_ADDRESS = "network address"
    IBAN = "iban"
    CARD = "card"
    NATIONAL_ID = "national id"
    PHONE = "phone"
    NUMBER = "number"

    @property
    def placeholder(self) -> str:
        """What is counted instead of the term."""
        return f"({self})"


PLACEHOLDERS = frozenset(kind.placeholder for kind in Scrubbed)
"""Terms that nobody typed."""
