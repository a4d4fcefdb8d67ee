"""What travels between the platform and one partner: `partner.<id>.shipments` out, `partner.<id>.updates` in.

No subject and no order id cross this border: a random reference per partner and shipment stands for both.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from schemas.deliveries import TrackingStatus
from schemas.ids import Reference
from schemas.privacy import Clear, Event, Words
from schemas.shipments import Service

Label = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){4}$"),
    Clear("a JWE that only the partner's private key opens"),
]


class RevocationReason(StrEnum):
    """Why a partner must erase its copy."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ERASED = "erased"
    AGREEMENT_ENDED = "agreement-ended"


class ParcelOffered(Event):
    """A parcel for the partner to carry; key of the record is the reference."""

    type: ClassVar[str] = "lethe.parcel.offered.v1"

    reference: Reference
    service: Annotated[Service, Clear("an enumeration")]
    label: Label


class CopyRevoked(Event):
    """The partner must erase its copy: a record without a value, its reason in header `ce_reason`."""

    type: ClassVar[str] = "lethe.copy.revoked.v1"
    extensions: ClassVar[Mapping[str, Words]] = MappingProxyType({"reason": RevocationReason})
    valueless: ClassVar[bool] = True


class ParcelReported(Event):
    """The partner reports where a parcel is."""

    type: ClassVar[str] = "lethe.parcel.reported.v1"
    suppressible: ClassVar[bool] = False

    reference: Reference
    status: Annotated[TrackingStatus, Clear("an enumeration")]


class CopyErased(Event):
    """The partner says that it has erased its copy."""

    type: ClassVar[str] = "lethe.copy.erased.v1"
    suppressible: ClassVar[bool] = False

    reference: Reference
