"""Who may ask the keyring for what; derived from the access matrix, but for the people's own tools."""

import hashlib
import hmac
from collections.abc import Mapping

from schemas.privacy import Category, Purpose
from schemas.topics import MINTS, OPENS, OPERATOR, TAGS

INSPECTS = frozenset({OPERATOR, "erasure"})
"""Who may ask how a subject stands and what was opened; neither gets a key."""
ROTATES = frozenset({OPERATOR})


class Guests:
    """Knows principals by their tokens' digests; the tokens themselves are nowhere."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = {name: digest.lower().encode() for name, digest in digests.items()}

    def principal(self, authorization: str) -> str | None:
        """Return whose bearer token this is, None when nobody's; looks at all, so that time tells nothing."""
        scheme, _, token = authorization.partition(" ")
        shown = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()
        found = None
        for name, digest in self._digests.items():
            if hmac.compare_digest(shown, digest):
                found = name
        return found if scheme.lower() == "bearer" and token else None


def may_mint(principal: str) -> frozenset[Category]:
    """Return the categories a principal may mint."""
    return MINTS.get(principal, frozenset())


def may_open(principal: str, purpose: Purpose) -> frozenset[Category]:
    """Return the categories a principal may open for a purpose (U1)."""
    opens = OPENS.get(principal, {})
    return frozenset(category for category, allowed in opens.items() if allowed is purpose)


def may_tag(principal: str) -> bool:
    """Return whether a principal may have the tag key (C3)."""
    return principal in TAGS
