"""Money is whole minor units, and the exponent is the currency's own (ISO 4217)."""

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from schemas.money import Amount, Currency, check_exponent, exponent_of

AMOUNT = TypeAdapter(Amount)


@pytest.mark.parametrize(
    ("currency", "exponent"),
    [("EUR", 2), ("GBP", 2), ("USD", 2), ("CNY", 2), ("HUF", 2), ("MGA", 2), ("MRU", 2), ("XCG", 2), ("ZWG", 2),
     ("SLE", 2),      ("JPY", 0), ("KRW", 0), ("ISK", 0), ("CLP", 0), ("VND", 0), ("XOF", 0),
     ("BHD", 3), ("KWD", 3), ("TND", 3), ("IQD", 3), ("CLF", 4), ("UYW", 4)],
)  # fmt: skip
def test_the_exponent_is_the_one_of_iso_4217(currency, exponent):
    """A yen has no cents, a dinar a thousand fils; ISO 4217 list one of 2026-01-01."""
    assert exponent_of(currency) == exponent
    check_exponent(currency, exponent)


@pytest.mark.parametrize(
    "currency", ["XAU", "XXX", "XTS", "USN", "CHE", "BTC", "eur", "", "DEM", "HRK", "ANG", "BGN"]
)
def test_what_nobody_pays_with_is_no_currency(currency):
    """Metals, test codes, funds, crypto and withdrawn currencies."""
    assert exponent_of(currency) is None
    with pytest.raises(PydanticCustomError) as caught:
        check_exponent(currency, 2)
    assert caught.value.type == "currency-unknown"


@pytest.mark.parametrize(
    ("currency", "exponent"), [("JPY", 2), ("EUR", 0), ("EUR", 3), ("BHD", 2), ("EUR", -1)]
)
def test_another_exponent_is_refused(currency, exponent):
    """1,000 yen are not 10.00 yen."""
    with pytest.raises(PydanticCustomError) as caught:
        check_exponent(currency, exponent)
    assert caught.value.type == "exponent-wrong"


def test_every_active_currency_is_known():
    """158 currencies: 139 and 7 and 17 and 2 of the list, less the seven codes of funds and accounting units."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    known = [
        a + b + c for a in letters for b in letters for c in letters if exponent_of(a + b + c) is not None
    ]
    assert len(known) == 139 + 7 + 17 + 2 - 7


@pytest.mark.parametrize("amount", [0, 1, 2**53 - 1])
def test_an_amount_is_a_whole_number_that_javascript_reads_exactly(amount):
    """Minor units, below 2^53."""
    assert AMOUNT.validate_python(amount, strict=True) == amount


@pytest.mark.parametrize("amount", [-1, 2**53, 1.0, 2.55, "255", True, None, 10**400])
def test_anything_else_is_no_amount(amount):
    """No floats, no text, no negative money, nothing that overflows."""
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(amount, strict=True)


@pytest.mark.parametrize("text", ["EURO", "E R", "€", "eur"])
def test_a_currency_has_three_capital_letters(text):
    """ISO 4217."""
    with pytest.raises(ValidationError):
        TypeAdapter(Currency).validate_python(text)
