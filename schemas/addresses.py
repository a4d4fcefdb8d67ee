"""Where a parcel goes: ISO 3166-1 countries, and the parts of an address that each requires."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from schemas.countries import REQUIRED_PARTS
from schemas.privacy import PersonalData
from schemas.text import Text

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""E.164."""


class Recipient(PersonalData):
    """Who receives a parcel, where, and how to reach them."""

    name: Text[120]
    address_lines: Annotated[tuple[Text[120], ...], Field(min_length=1, max_length=4, strict=False)]
    city: Text[80] | None = None
    region: Text[80] | None = None
    postal_code: Text[16] | None = None
    country: Country
    phone: Phone | None = None
    email: Text[254] | None = None
    delivery_note: Text[500] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Recipient":
        required = REQUIRED_PARTS.get(self.country)
        if required is None:
            raise ValueError("unknown country")
        for part, value in (("C", self.city), ("S", self.region), ("Z", self.postal_code)):
            if part in required and value is None:
                raise ValueError("address lacks a part that its country requires")
        return self
