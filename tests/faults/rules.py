"""What must become of what was sent: the rules of the order, known to the verifier and shared with no worker.

Effects are those of a run that nothing disturbs, whatever was done to the platform in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.history import Line, of

DELIVERED, NEVER_PAID, TAKEN_BACK, ORPHAN = "delivered", "never-paid", "taken-back", "orphan"
"""Fates of an order: delivered and closed, cancelled before payment, cancelled after it, paid but never placed."""
KEEP = "Keep until told."
"""The delivery note of a parcel that its carrier must not deliver."""
PLACED, PAID, CANCELLED = "lethe.order.placed.v1", "lethe.order.paid.v1", "lethe.order.cancelled.v1"
REQUESTED, CLOSED, WITHDRAWN = (f"lethe.shipment.{each}.v1" for each in ("requested", "closed", "cancelled"))
CONFIRMED, RELEASED = "lethe.hold.confirmed.v1", "lethe.hold.released.v1"
PARTS = {"basket": "transaction", "ship_to": "logistics", "invoice": "accounting"}
"""Under which category's key each sealed part of an order lies."""
READS = {
    "orders": ("orders", "deliveries", "erasure.commands"),
    "carriers": ("shipments", "deliveries", "erasure.commands"),
    "erasure": ("erasure.requests", "erasure.receipts"),
    "gateway": ("erasure.requests", "certificates"),
    "keyring": ("holds", "erasure.commands"),
}
"""Which topics each worker reads, besides what carriers write."""
INSTANCES = ("kafka", "postgres-data", "postgres-keyring", *(f"{worker}-1" for worker in READS))
"""What must run at the end of every trial."""
SEARCHED = ("records", "files", *(f"metrics of {worker}-1" for worker in READS))
"""Where every trial looks for planted texts."""


@dataclass(frozen=True)
class Row:
    """How an order must end in the orders worker's table."""

    stage: str
    revision: int
    tracking: str | None
    invoiced: bool


_ENDS = {
    DELIVERED: Row("closed", 4, "delivered", True),
    NEVER_PAID: Row("cancelled", 2, None, False),
    TAKEN_BACK: Row("cancelled", 3, None, True),
}
REASONS = {DELIVERED: "completed", TAKEN_BACK: "cancelled"}
"""Why a carrier must forget its copy."""


_SHIPMENTS = {DELIVERED: (REQUESTED, CLOSED), TAKEN_BACK: (REQUESTED, WITHDRAWN)}
_HOLDS = {
    DELIVERED: ((CONFIRMED, 1), (CONFIRMED, 2), (RELEASED, 4)),
    NEVER_PAID: ((CONFIRMED, 1), (RELEASED, 2)),
    TAKEN_BACK: ((CONFIRMED, 1), (CONFIRMED, 2), (RELEASED, 3)),
}


def expected_shipments(order: Line) -> list[str]:
    """Return the events about an order's shipment, in their order."""
    return list(_SHIPMENTS.get(order["fate"], ()))


def expected_holds(order: Line) -> list[tuple[str, int]]:
    """Return the events that say why an order's keys may not die yet, each with its revision, in their order."""
    return list(_HOLDS.get(order["fate"], ()))


def expected_row(order: Line) -> Line:
    """Return the row of an order whose person never asked to be forgotten, opened."""
    end, sent = _ENDS[order["fate"]], order["sent"]
    return {
        "stage": end.stage, "revision": end.revision, "tracking": end.tracking, "carrier": order["carrier"],
        "basket": sent["basket"], "ship_to": sent["ship_to"], "invoice": sent["invoice"] if end.invoiced else None,
    }  # fmt: skip


def expected_parts(order: Line) -> list[str]:
    """Return which sealed parts of an order the shop has sent."""
    sent = {NEVER_PAID: ("basket", "ship_to"), ORPHAN: ("invoice",)}
    return list(sent.get(order["fate"], tuple(PARTS)))


def kept_by_law(order: Line) -> list[str]:
    """Return which parts stay when the order has ended and its person is forgotten: what was invoiced."""
    return ["invoice"] if order["fate"] in _ENDS and _ENDS[order["fate"]].invoiced else []


def expected_readings(lines: Sequence[Line]) -> set[tuple[str, str]]:
    """Return which worker must have read which topic: those of the platform, and those of its carriers."""
    updates = {("carriers", f"partner.{carrier['name']}.updates") for carrier in of(lines, "carrier")}
    return updates | {(worker, topic) for worker, topics in READS.items() for topic in topics}


def says_the_same(found: Any, sent: Any) -> bool:
    """Whether a stored value is what was sent; what the sender left out may stand there as nothing."""
    if isinstance(sent, dict) and isinstance(found, dict):
        beyond = [value for name, value in found.items() if name not in sent]
        return not any(beyond) and all(says_the_same(found.get(name), value) for name, value in sent.items())
    if isinstance(sent, list) and isinstance(found, list):
        return len(sent) == len(found) and all(map(says_the_same, found, sent))
    return bool(found == sent)


def expected_label(order: Line, fields: Sequence[str]) -> Mapping[str, Any]:
    """Return what the carrier must read on the label: the agreed fields of the address, and no more."""
    return {name: value for name, value in order["sent"]["ship_to"].items() if name in fields}


def expected_reasons(order: Line, wished: bool) -> tuple[str, ...]:
    """Return for which reasons a carrier may have been told to forget; exactly one of them was told."""
    return (REASONS[order["fate"]], "erased") if wished else (REASONS[order["fate"]],)


def expected_letters(lines: Sequence[Line]) -> set[tuple[str, str, str]]:
    """Return worker, code and scope of every dead letter that the rules ask for.

    Of what could not be decoded nothing is known but where it lies: then its coordinates stand for the scope.
    """
    orphans = {("orders", "order-unknown", order["order"]) for order in of(lines, "order", fate=ORPHAN)}
    return orphans | {(line["worker"], line["code"], line["what"]) for line in of(lines, "poison")}


def accepted(lines: Sequence[Line]) -> set[str]:
    """Return the ids of the events that the platform has promised to handle."""
    return {line["id"] for line in of(lines, "said", status=202)}
