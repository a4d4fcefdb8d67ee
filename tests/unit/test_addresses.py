"""An address has what its country requires, and nothing that a database or a printer cannot hold."""

import json
import time

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.addresses import Phone, Recipient
from schemas.countries import REQUIRED_PARTS
from schemas.strict_json import violation

WHOLE = {
    "name": "Zoë Smith",
    "address_lines": ["221B Baker Street"],
    "city": "London",
    "region": "London",
    "postal_code": "NW1 6XE",
    "country": "GB",
}


def refusal(**changes) -> tuple[str, str]:
    """Return code and path of why the address is refused once changed; None removes a part."""
    parts = {name: value for name, value in (WHOLE | changes).items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        Recipient.model_validate_json(json.dumps(parts))
    assert "Zoë" not in str(caught.value) and "Baker" not in str(caught.value)
    return violation(caught.value, Recipient)


REAL = {
    "GB": {"city": "London", "postal_code": "SW1A 2AA"},
    "US": {"city": "Mountain View", "region": "California", "postal_code": "94043"},
    "DE": {"city": "Bonn", "postal_code": "53113"},
    "JP": {"region": "東京都", "postal_code": "150-8512"},
    "BR": {"city": "São Paulo", "region": "SP", "postal_code": "04538-133"},
    "IE": {"city": "Dublin"},
    "HK": {"region": "Kowloon"},
    "AE": {"region": "Dubai"},
    "SG": {"postal_code": "018956"},
    "MO": {},
    "JM": {"city": "Kingston", "region": "St. Andrew"},
    "KR": {"city": "강남구", "region": "서울특별시", "postal_code": "06236"},
    "ZA": {"city": "Cape Town", "postal_code": "8001"},
    "XK": {"city": "Prishtina"},
}


@pytest.mark.parametrize("country", REAL)
def test_an_address_needs_what_its_country_requires_and_no_more(country):
    """The parts of real addresses of each kind of country are enough, and each of them is needed."""
    address = {"name": "Post Office", "address_lines": ["1"], "country": country, **REAL[country]}
    Recipient.model_validate_json(json.dumps(address))
    for part in REAL[country]:
        without = {name: value for name, value in address.items() if name != part}
        with pytest.raises(ValidationError) as caught:
            Recipient.model_validate_json(json.dumps(without))
        assert violation(caught.value, Recipient)[0] == part.replace("_", "-") + "-missing"


def test_all_countries_of_iso_3166_are_there():
    """249 codes and Kosovo's; each requires at least its lines."""
    assert len(REQUIRED_PARTS) == 250
    assert all(len(code) == 2 and code.isupper() and code.isascii() for code in REQUIRED_PARTS)
    assert all("A" in parts and set(parts) <= set("ACSZ") for parts in REQUIRED_PARTS.values())


@pytest.mark.parametrize("country", ["XX", "ZZ", "UK", "EU", "AN", "SU"])
def test_an_unknown_country_is_refused(country):
    """Reserved, withdrawn and invented codes reach nobody."""
    assert refusal(country=country) == ("country-unknown", "")


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"country": "gb"}, "string-pattern-mismatch", "country"),
        ({"country": "GBR"}, "string-too-long", "country"),
        ({"address_lines": []}, "too-short", "address_lines"),
        ({"address_lines": ["x"] * 5}, "too-long", "address_lines"),
        ({"address_lines": "x"}, "tuple-type", "address_lines"),
        ({"address_lines": ["x", "  "]}, "string-pattern-mismatch", "address_lines.*"),
        ({"name": ""}, "string-pattern-mismatch", "name"),
        ({"name": "x" * 121}, "string-too-long", "name"),
        ({"name": "Zo\0e"}, "string-pattern-mismatch", "name"),
        ({"name": "Zoe\nSmith"}, "string-pattern-mismatch", "name"),
        ({"name": "Zoe\x1b[2J"}, "string-pattern-mismatch", "name"),
        ({"name": "Zoe\x85"}, "string-pattern-mismatch", "name"),
        ({"name": "\ufeffZoe"}, "string-pattern-mismatch", "name"),
        ({"name": 5}, "string-type", "name"),
        ({"city": "\u3000"}, "string-pattern-mismatch", "city"),
        ({"delivery_note": "a\0b"}, "string-pattern-mismatch", "delivery_note"),
        ({"delivery_note": "\n\n"}, "string-pattern-mismatch", "delivery_note"),
        ({"delivery_note": "x" * 501}, "string-too-long", "delivery_note"),
        ({"phone": "0207 946 0018"}, "string-pattern-mismatch", "phone"),
        ({"latitude": 51.5}, "extra-forbidden", "?"),
    ],
)
def test_a_part_that_cannot_be_printed_or_stored_is_refused(changes, code, path):
    """With a code and the part's name; the text stays with its sender."""
    assert refusal(**changes) == (code, path)


@pytest.mark.parametrize(
    "text", ["Zoë Ångström", "渋谷区", "شارع الملك فهد", "O'Neill-Özdemir", "😀", "a\u200db", "  x  "]
)
def test_every_script_is_text(text):
    """Names are not ASCII, and what joins letters belongs to them."""
    assert Recipient.model_validate_json(json.dumps(WHOLE | {"name": text})).name == text


def test_a_note_may_have_lines():
    """Browsers send a text area's breaks as carriage return and line feed."""
    note = "Ring twice.\r\n\tThen wait."
    assert Recipient.model_validate_json(json.dumps(WHOLE | {"delivery_note": note})).delivery_note == note


@pytest.mark.parametrize("country", ["GB", "DE", "US", "JP", "BR", "CN", "IN", "SG"])
def test_phones_of_the_world_are_e164(country):
    """What libphonenumber writes as E.164 is accepted."""
    number = phonenumbers.format_number(
        phonenumbers.example_number(country), phonenumbers.PhoneNumberFormat.E164
    )
    assert TypeAdapter(Phone).validate_python(number) == number


@given(st.text(max_size=40))
def test_any_text_is_taken_unchanged_or_refused(text):
    """Nothing is trimmed, folded or repaired: what was signed and shown is what is stored."""
    try:
        read = Recipient.model_validate_json(json.dumps(WHOLE | {"name": text}))
    except ValidationError:
        return
    assert read.name == text and "\0" not in text and text.strip()


def test_the_longest_text_is_checked_in_no_time():
    """The pattern has no choice to try twice, or a hostile text would cost the gateway."""
    started = time.process_time()
    for _ in range(200):
        refusal(delivery_note="x" * 499 + "\0")
    assert time.process_time() - started < 10
