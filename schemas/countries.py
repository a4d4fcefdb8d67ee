"""Which parts of an address each country requires: A lines, C city, S state or region, Z postal code."""

REQUIRED_PARTS: dict[str, str] = {"GB": "ACZ", "US": "ACSZ", "DE": "ACZ", "FR": "ACZ", "JP": "ASZ"}
