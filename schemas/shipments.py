"""What travels on `shipments`: what a carrier is asked to do, the address still sealed (U2, D2)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.addresses import Recipient
from schemas.ids import OrderId, PartnerId
from schemas.orders import DELIVERY
from schemas.privacy import Clear, Event, Sealed


class Service(StrEnum):
    """How fast; carriers map it to their own products."""

    STANDARD = "standard"
    EXPRESS = "express"


class ShipmentEvent(Event):
    """Base of what happens to the one shipment of an order."""

    scope_field: ClassVar[str | None] = "order"
    collection: ClassVar[str] = "orders"

    order: OrderId


class ShipmentRequested(ShipmentEvent):
    """A paid order is to be carried to its recipient."""

    type: ClassVar[str] = "lethe.shipment.requested.v1"

    carrier: PartnerId
    service: Annotated[Service, Clear("an enumeration")]
    ship_to: Annotated[Sealed[Recipient], DELIVERY]


class ShipmentCancelled(ShipmentEvent):
    """The order was cancelled before delivery; the carrier's copy is revoked."""

    type: ClassVar[str] = "lethe.shipment.cancelled.v1"


class ShipmentClosed(ShipmentEvent):
    """The order's returns window ended; the carrier needs its copy no longer (D4)."""

    type: ClassVar[str] = "lethe.shipment.closed.v1"
