"""A search term becomes one of many like it, or a placeholder: what people type into a search box is theirs.

Where something personal is found, *the whole term* becomes the placeholder of its kind: what stands beside an e-mail
address is a name more often than a product. The shop learns that people look for their parcel by its number, and
nothing else. Names and addresses without numbers are not recognised by any pattern; only the crowd protects them.
"""

import re
import unicodedata
from urllib.parse import unquote

from services.gateway.clicks.scrubbing import kind_found

MOST_READ = 1_000
"""A longer text, encoded or decoded, is no search, and is not looked at."""
MOST_KEPT = 100
"""A term that is longer after cleaning is dropped: prose tells stories, and has no crowd."""
MOST_DECODINGS = 3
MOST_FOLDINGS = 4
"""One nearly always; what falls out of a text may let its neighbours meet, and those are folded again."""

_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_DOTS = str.maketrans({"。": ".", "｡": ".", "․": "."})


def term_of(text: str) -> str | None:
    """Return what is counted of a search: a clean term, a placeholder like `(e-mail)`, or None for nothing."""
    if len(text) > MOST_READ:
        return None
    clean = cleaned(text)
    if not clean or len(clean) > MOST_KEPT:
        return None
    found = kind_found(clean)
    return found.placeholder if found else clean


def cleaned(text: str) -> str:
    """Return a text decoded, NFKC-folded, in lower case, its digits ASCII, nothing invisible in it, spaces single.

    "" for what stays encoded after several decodings, or is no text: no pattern would see through it. What is
    returned holds no escape, and is the same when it is folded again.
    """
    for _ in range(MOST_DECODINGS + 1):
        # Folded before it is decoded: a full-width or an interrupted escape is one only then.
        text = _folded(text)
        if not _ESCAPED.search(text):
            return "" if "\N{REPLACEMENT CHARACTER}" in text else text
        text = unquote(text)
    return ""


def _folded(text: str) -> str:
    """Return a text that stays as it is when it is folded again, "" where there is none."""
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())
    for _ in range(MOST_FOLDINGS):
        before = text
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
        # One character may become eighteen.
        if len(text) > MOST_READ:
            return ""
        text = " ".join("".join(map(_plain, text)).translate(_DOTS).split())
        if text == before:
            return text
    return ""


def _plain(char: str) -> str:
    """Return a character as patterns expect it: any script's digit as an ASCII one, invisible ones as nothing."""
    if char.isascii():
        return char if char.isprintable() else " "
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Pd":
        return "-"
    # Zero-width characters would hide an address from every pattern; surrogates and the like are no text.
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    return " " if category in ("Cc", "Zl", "Zp", "Zs") else char
