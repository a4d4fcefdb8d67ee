"""The shop: sends what its customers did, through the SDK that any shop would use."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.demo import people
from services.demo.retail import Cancellation, Purchase
from services.storefront import Erasure, Lethe

NAME = "bazaar"
WAITING_EVENTS = 2_000
"""A shop that is far ahead of the gateway waits for it, or its queue would be full."""
SEND_SECONDS = 120.0


@dataclass
class Shop:
    """Knows its customers by its own numbers, and under which random ids it speaks of them."""

    lethe: Lethe
    carriers: Sequence[str]
    subjects: dict[str, str] = field(default_factory=dict)
    """Person → subject id."""
    orders: dict[str, str] = field(default_factory=dict)
    """The shop's order number → order id."""
    of_person: dict[str, list[Purchase]] = field(default_factory=dict)

    def subject(self, person: str) -> str:
        """Return the person's id; a new one for a new person."""
        return self.subjects.setdefault(person, self.lethe.new_subject())

    def carrier_of(self, purchase: Purchase) -> str:
        """Return who carries an order: the same one for the same number."""
        return self.carriers[int(purchase.number) % len(self.carriers)]

    def sell(self, purchase: Purchase, note: str = "") -> None:
        """Say that an order was placed and paid."""
        subject = self.subject(purchase.person)
        order = self.orders.setdefault(purchase.number, self.lethe.new_order())
        self.of_person.setdefault(purchase.person, []).append(purchase)
        self.lethe.place(
            subject, order,
            carrier=self.carrier_of(purchase), basket=people.basket(purchase), ship_to=people.recipient(purchase, note),
        )  # fmt: skip
        self.lethe.pay(subject, order, invoice=people.invoice(purchase))
        if self.lethe.report().waiting > WAITING_EVENTS:
            self.flush()

    def cancel(self, cancellation: Cancellation) -> None:
        """Say that an order was cancelled; one that nobody here ever placed has an id that nobody knows."""
        person = (
            f"Customer {cancellation.customer}" if cancellation.customer else f"Guest {cancellation.number}"
        )
        order = self.orders.get(cancellation.order or "") or self.lethe.new_order()
        self.lethe.cancel(self.subject(person), order)

    def erase(self, person: str) -> Erasure:
        """Ask that a customer be forgotten; return the request, whose salt only the shop and the customer have."""
        erasure = self.lethe.erase(self.subject(person))
        if erasure is None or not erasure.accepted(SEND_SECONDS):
            raise RuntimeError("the gateway did not take the wish to be forgotten")
        return erasure

    def flush(self) -> None:
        """Wait until the gateway has taken everything; raise `TimeoutError` if it does not."""
        if not self.lethe.flush(SEND_SECONDS):
            raise TimeoutError("the gateway did not take everything in time")


def one_of(people_: Sequence[str], count: int, seed: int = 7) -> list[str]:
    """Return some people, the same ones every time."""
    return random.Random(seed).sample(sorted(people_), min(count, len(people_)))  # noqa: S311 - a choice, no secret
