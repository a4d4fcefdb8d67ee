"""Money: integer minor units and the ISO 4217 exponent that gives them meaning."""

from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic_core import PydanticCustomError

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$", max_length=3)]
Amount = Annotated[int, Field(ge=0, lt=2**53)]
"""Minor units; below 2^53, so that a JavaScript client reads the same number."""

# ISO 4217, list one as published on 2026-01-01, without funds codes, precious metals and units of account.
_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
        "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
        "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
        "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
        "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED "
        "VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS = {code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()}


def exponent_of(currency: str) -> int | None:
    """Return how many decimal digits the currency's minor unit has, None for an unknown currency."""
    return _EXPONENTS.get(currency)


def check_exponent(currency: str, exponent: int) -> None:
    """Refuse an unknown currency and an exponent that is not the currency's own."""
    known = exponent_of(currency)
    if known is None:
        raise PydanticCustomError("currency-unknown", "ISO 4217 has no such currency")
    if known != exponent:
        raise PydanticCustomError("exponent-wrong", "the currency has another exponent")
