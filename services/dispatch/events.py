"""The worker's own events: its timers, and a label on its way from the decision to the partner."""

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from schemas.addresses import Recipient
from schemas.ids import OrderId, Reference
from schemas.orders import DELIVERY
from schemas.partners import ParcelOffered
from schemas.privacy import Clear, Event, Sealed
from schemas.shipments import Service

FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
PublicJwk = Annotated[
    str,
    StringConstraints(pattern=r'^\{[A-Za-z0-9._:", -]{1,600}\}$'),
    Clear("the public key of a business partner, a JWK in JSON"),
]


class ShipmentRetried(Event):
    """A held shipment looks for an agreement again."""

    type: ClassVar[str] = "lethe.dispatch.shipment-retried.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId


class AgreementEnded(Event):
    """The agreement that a copy was given under was to end about now."""

    type: ClassVar[str] = "lethe.dispatch.agreement-ended.v1"
    scope_field: ClassVar[str | None] = "order"

    order: OrderId


class AcknowledgementMissed(Event):
    """A revocation will soon be dropped by Kafka and was not acknowledged: it is due again."""

    type: ClassVar[str] = "lethe.dispatch.acknowledgement-missed.v1"
    scope_field: ClassVar[str | None] = "order"
    suppressible: ClassVar[bool] = False

    order: OrderId


TIMERS = (ShipmentRetried, AgreementEnded, AcknowledgementMissed)


class LabelDue(Event):
    """A parcel to be offered, its address still sealed for the platform; it leaves as `ParcelOffered`.

    What the partner will read was fixed with the decision: field list and key travel with it.
    """

    type: ClassVar[str] = ParcelOffered.type
    scope_field: ClassVar[str | None] = "order"
    collection: ClassVar[str] = "orders"

    order: OrderId
    reference: Reference
    service: Annotated[Service, Clear("an enumeration")]
    ship_to: Annotated[Sealed[Recipient], DELIVERY]
    fields: Annotated[tuple[FieldName, ...], Clear("names of fields")]
    key: PublicJwk
