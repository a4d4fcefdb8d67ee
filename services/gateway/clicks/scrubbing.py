"""Finds what is personal in a text by its form: contacts, and numbers that name somebody. Finds no names.

Expects a text that `terms.cleaned` made: lower case, ASCII digits, nothing invisible. Checks of numbers are those of
python-stdnum and phonenumbers (Google's metadata); recall and false alarms are measured by `tests.clicks.scrubbing`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import phonenumbers
from stdnum import iban, luhn
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.ie import pps
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.my import nric
from stdnum.se import personnummer
from stdnum.us import ssn

from schemas.scrubbed import Scrubbed

LONG_RUN = 7
"""So many digits name an order, a customer or a phone; sizes, years and prices have fewer."""
MOST_CHECKED = 5
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "SE", "IN", "JP", "BR", "AU")
"""Whose ways of writing a phone number without its country code are looked for."""


class Found(NamedTuple):
    """Something personal: of which kind, and where."""

    kind: Scrubbed
    start: int
    end: int


_AT = re.compile(r"[^\s@]+\s?@[\s@]*[^\s@]+|(?:^|\s)@[^\s@]{3,}")
_SPELT = re.compile(
    r"[^\s@]+\s?[\[( ](?:at|ät)[\]) ]\s?[^\s@]+?\s?(?:[\[( ](?:dot|punkt|point)[\]) ]\s?|\.)[a-z]{2,}"
)
_LINK = re.compile(r"\b(?:https?:/|www\.)\S+")
_DIGITS = re.compile(rf"\+?\d(?:[ ./()+-]{{0,3}}\d){{{LONG_RUN - 1},}}")
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,40}")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])")
_IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_MIXED = re.compile(r"\b(?=(?:[a-z]*\d){4})[a-z0-9](?:[-+/ ]?[a-z0-9]){7,19}\b")
_NINO = re.compile(r"\b[a-ceghj-prstw-z][a-ceghj-nprstw-z] ?(?:\d ?){6}[a-d]\b")
"""National Insurance number of the United Kingdom; it has no check digit."""

_NATIONAL_FORM = re.compile(
    r"\d{9,13}|\d{15}|\d{7}[a-w][a-z]?|[xyz\d]\d{7}[a-z]|\d{9}[a-z]|\d{6}[a-fu-y]\d{3}[a-z0-9]"
    r"|[a-z]{5}\d{4}[a-z]|[a-z]{6}[a-z0-9]{9}[a-z]|[a-z]{4}\d{6}[a-z]{6}[a-z0-9]\d|\d{5}2[ab]\d{8}"
)
"""What the numbers of `_NATIONAL` look like without separators: none of them need be asked about anything else."""
_NATIONAL: tuple[Callable[[str], bool], ...] = tuple(
    module.is_valid
    for module in (ssn, codicefiscale, curp, pps, nie, dni, hetu, pan, aadhaar, nir, personnummer, amka, nric)
)


def kind_found(text: str) -> Scrubbed | None:
    """Return the kind of the first thing personal in a text, None for nothing."""
    return next((found.kind for found in found_in(text)), None)


def is_personal(text: str) -> bool:
    """Say whether anything personal is in a text: what `kind_found` says, sooner where it does not matter which."""
    return _DIGITS.search(text) is not None or kind_found(text) is not None


def found_in(text: str) -> Iterator[Found]:
    """Yield what is personal, surest kinds first; one place may be found as several kinds."""
    # A look for a character is faster than one for a pattern, and most searches have none of these.
    if "@" in text:
        yield from _matches(Scrubbed.EMAIL, _AT, text)
    if "t" in text:
        yield from _matches(Scrubbed.EMAIL, _SPELT, text)
    if "/" in text or "www." in text:
        yield from _matches(Scrubbed.LINK, _LINK, text)
    # Everything else has digits; most searches have none, or one or two.
    digits = sum(map(str.isdigit, text))
    if digits + text.count(":") >= 3:
        yield from _matches(Scrubbed.NETWORK_ADDRESS, _IPV6, text, _is_address)
    if digits < 4:
        return
    yield from _matches(Scrubbed.NETWORK_ADDRESS, _IPV4, text, _is_address)
    yield from _matches(Scrubbed.IBAN, _IBAN, text, _is_iban)
    yield from _matches(Scrubbed.CARD, _DIGITS, text, _is_card)
    yield from _matches(Scrubbed.NATIONAL_ID, _NINO, text)
    yield from _matches(Scrubbed.NATIONAL_ID, _MIXED, text, _is_national)
    yield from _matches(Scrubbed.PHONE, _DIGITS, text, _is_phone)
    yield from _matches(Scrubbed.NUMBER, _DIGITS, text)


def _matches(
    kind: Scrubbed, form: re.Pattern[str], text: str, holds: Callable[[str], bool] = lambda _: True
) -> Iterator[Found]:
    # Checks take a while; who writes a heap of numbers says nothing that the first few do not.
    for match in islice(form.finditer(text), MOST_CHECKED):
        if holds(match[0]):
            yield Found(kind, *match.span())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_iban(text: str) -> bool:
    """Say whether a text begins with an IBAN: what follows may be the next words."""
    compact = re.sub(r"[ -]", "", text)
    # Each letter counts as two digits, and the first four characters go to the end (ISO 13616).
    country = int(_as_digits(compact[:4]))
    rest = 0
    for length, char in enumerate(compact[4:34], 5):
        digits = _as_digits(char)
        rest = (rest * 10 ** len(digits) + int(digits)) % 97
        # One text in a hundred gets here by chance: only then the country is asked what its numbers look like.
        if (rest * 1_000_000 + country) % 97 == 1 and iban.is_valid(compact[:length], check_country=False):
            return True
    return False


def _as_digits(text: str) -> str:
    return "".join(str(int(char, 36)) for char in text)


def _is_phone(text: str) -> bool:
    """Say whether a run of digits is somebody's number: with its country code, or as one of the regions writes it."""
    for region in (None,) if text.startswith("+") else REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 12 <= len(digits) <= 19 and bool(luhn.is_valid(digits))


def _is_national(text: str) -> bool:
    if not _NATIONAL_FORM.fullmatch(re.sub(r"[-+/ ]", "", text)):
        return False
    return any(is_valid(text) for is_valid in _NATIONAL)
