"""Where a parcel goes: ISO 3166-1 countries, and the parts of an address that each requires."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from schemas.countries import REQUIRED_PARTS
from schemas.privacy import PersonalData
from schemas.text import line, note

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$", max_length=2)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$", max_length=16)]
"""E.164."""


class Recipient(PersonalData):
    """Who receives a parcel, where, and how to reach them."""

    name: Annotated[str, line(120)]
    address_lines: Annotated[
        tuple[Annotated[str, line(120)], ...], Field(min_length=1, max_length=4, strict=False)
    ]
    city: Annotated[str, line(80)] | None = None
    region: Annotated[str, line(80)] | None = None
    postal_code: Annotated[str, line(16)] | None = None
    country: Country
    phone: Phone | None = None
    email: Annotated[str, line(254)] | None = None
    delivery_note: Annotated[str, note(500)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Recipient":
        """Refuse an unknown country, and an address without a part that its country requires."""
        required = REQUIRED_PARTS.get(self.country)
        if required is None:
            raise PydanticCustomError("country-unknown", "ISO 3166-1 has no such country")
        if self.city is None and "C" in required:
            raise PydanticCustomError("city-missing", "the country requires a city")
        if self.region is None and "S" in required:
            raise PydanticCustomError("region-missing", "the country requires a state or region")
        if self.postal_code is None and "Z" in required:
            raise PydanticCustomError("postal-code-missing", "the country requires a postal code")
        return self
