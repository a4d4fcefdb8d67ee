"""The ids that travel in clear: random, opaque, never derived from a person."""

from typing import Annotated

from pydantic import StringConstraints

from schemas.privacy import Clear

RANDOM_ID = r"^[0-9a-f]{32}$"
"""128 random bits in lower-case hexadecimal."""
UUID_FORM = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
NAME_FORM = r"^[a-z][a-z0-9-]{1,30}$"

SubjectId = Annotated[str, StringConstraints(pattern=RANDOM_ID), Clear("random, made by the storefront")]
OrderId = Annotated[str, StringConstraints(pattern=RANDOM_ID), Clear("random, made by the storefront")]
RequestId = Annotated[str, StringConstraints(pattern=RANDOM_ID), Clear("random, one per request")]
Reference = Annotated[
    str, StringConstraints(pattern=RANDOM_ID), Clear("random, one per partner and shipment")
]
Scope = Annotated[str, StringConstraints(pattern=RANDOM_ID), Clear("the random id of an order")]
EventId = Annotated[str, StringConstraints(pattern=UUID_FORM), Clear("random or derived from random")]
PartnerId = Annotated[str, StringConstraints(pattern=NAME_FORM), Clear("names a business partner")]
StorefrontId = Annotated[str, StringConstraints(pattern=NAME_FORM), Clear("names a shop")]
Owner = Annotated[str, StringConstraints(pattern=NAME_FORM), Clear("names a worker")]
