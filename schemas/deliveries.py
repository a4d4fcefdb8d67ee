"""What travels on `deliveries`: what partners reported, re-emitted under the subject it belongs to."""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.ids import OrderId, PartnerId, Reference
from schemas.privacy import Clear, Event


class TrackingStatus(StrEnum):
    """The canonical tracking vocabulary; carriers' own codes are mapped to it by the carriers."""

    PRE_TRANSIT = "pre_transit"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    RETURN_TO_SENDER = "return_to_sender"


class ParcelTracked(Event):
    """A carrier reported where a parcel is."""

    type: ClassVar[str] = "lethe.parcel.tracked.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId
    status: Annotated[TrackingStatus, Clear("an enumeration")]


class CopyForgotten(Event):
    """A partner says that it has erased its copy: the partner's word, handled even when the subject is erased."""

    type: ClassVar[str] = "lethe.copy.forgotten.v1"
    scope_field: ClassVar[str | None] = "order"
    suppressible: ClassVar[bool] = False

    order: OrderId
    partner: PartnerId
    reference: Reference
