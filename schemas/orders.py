"""What travels on `orders`: one order, from placement to payment or cancellation (C2, U2)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.addresses import Country, Recipient
from schemas.ids import OrderId, PartnerId
from schemas.money import Amount, Currency, check_exponent
from schemas.privacy import Category, Clear, Event, Personal, PersonalData, Purpose, Retention, Sealed
from schemas.text import line

SETTLEMENT = Personal(Category.TRANSACTION, Purpose.SETTLEMENT, Retention.WHILE_OPEN)
DELIVERY = Personal(Category.LOGISTICS, Purpose.DELIVERY, Retention.WHILE_OPEN)
STATUTORY = Personal(Category.ACCOUNTING, Purpose.TAX_RECORDS, Retention.STATUTORY)


class Line(PersonalData):
    """One product of a basket."""

    sku: Annotated[str, line(64)]
    name: Annotated[str, line(200)]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price_minor: Amount


class Basket(PersonalData):
    """What was bought, for how much, when; `total_minor` must be the sum of its parts."""

    number: Annotated[str, line(64)]
    """The shop's own order number: it leads to a person, so it travels sealed."""
    placed_at: AwareDatetime
    currency: Currency
    exponent: Annotated[int, Field(ge=0, le=4)]
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=2_000, strict=False)]
    shipping_minor: Amount = 0
    tax_minor: Amount = 0
    discount_minor: Amount = 0
    total_minor: Amount

    @model_validator(mode="after")
    def _adds_up(self) -> "Basket":
        check_exponent(self.currency, self.exponent)
        goods = sum(each.quantity * each.unit_price_minor for each in self.lines)
        if self.total_minor != goods + self.shipping_minor + self.tax_minor - self.discount_minor:
            raise PydanticCustomError("total-wrong", "total_minor is not the sum of its parts")
        return self


class Invoice(PersonalData):
    """What tax law asks a shop to keep about a paid order, and no more."""

    number: Annotated[str, line(64)]
    issued_at: AwareDatetime
    buyer: Annotated[str, line(200)]
    country: Country
    currency: Currency
    exponent: Annotated[int, Field(ge=0, le=4)]
    tax_minor: Amount
    total_minor: Amount

    @model_validator(mode="after")
    def _exponent_fits(self) -> "Invoice":
        check_exponent(self.currency, self.exponent)
        return self


class CancelReason(StrEnum):
    """Why an order was cancelled; an enumeration, so that no free text about a person travels in clear."""

    CUSTOMER = "customer"
    STOCK = "stock"
    PAYMENT = "payment"
    FRAUD = "fraud"
    OTHER = "other"


class OrderEvent(Event):
    """Base of what a storefront says about an order."""

    scope_field: ClassVar[str | None] = "order"
    collection: ClassVar[str] = "orders"

    order: OrderId


class OrderPlaced(OrderEvent):
    """The customer has committed to buy."""

    type: ClassVar[str] = "lethe.order.placed.v1"

    carrier: PartnerId
    basket: Annotated[Sealed[Basket], SETTLEMENT]
    ship_to: Annotated[Sealed[Recipient], DELIVERY]


class OrderPaid(OrderEvent):
    """The money has arrived, and the invoice is written."""

    type: ClassVar[str] = "lethe.order.paid.v1"

    invoice: Annotated[Sealed[Invoice], STATUTORY]


class OrderCancelled(OrderEvent):
    """The order will not be carried out."""

    type: ClassVar[str] = "lethe.order.cancelled.v1"

    reason: Annotated[CancelReason, Clear("an enumeration")]
