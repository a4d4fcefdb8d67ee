"""Money: integer minor units and the ISO 4217 exponent that gives them meaning."""

from typing import Annotated

from pydantic import Field, StringConstraints

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[int, Field(ge=0, lt=2**53)]
"""Minor units; below 2^53, so that a JavaScript client reads the same number."""

# ISO 4217:2015, table A.1: every active currency whose exponent is not 2.
_EXPONENTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_TWO = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
    "MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD "
    "SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG "
    "YER ZAR ZMW ZWG".split()
)


def exponent_of(currency: str) -> int | None:
    """Return how many decimal digits the currency's minor unit has, None for an unknown currency."""
    return 2 if currency in _TWO else _EXPONENTS.get(currency)


def check_exponent(currency: str, exponent: int) -> None:
    """Refuse an unknown currency and an exponent that is not the currency's own."""
    known = exponent_of(currency)
    if known is None:
        raise ValueError("unknown currency")
    if known != exponent:
        raise ValueError("exponent does not fit the currency")
