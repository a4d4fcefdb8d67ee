"""Made-up people for the orders, whose data names nobody: the same person for the same customer, plainly no real one.

Phone numbers are from the range that the British regulator keeps for films, addresses of e-mail from the domain that
RFC 2606 keeps for examples.
"""

import hashlib
from typing import Any

from services.demo.retail import Purchase

CURRENCY, EXPONENT = "GBP", 2
VAT_SHARE = 6
"""British VAT of 20 % is a sixth of the price paid."""


def recipient(purchase: Purchase, note: str = "") -> dict[str, Any]:
    """Return where the parcel goes, complete for every country."""
    number = _number(purchase.person)
    made_up = {
        "name": purchase.person,
        "address_lines": [f"{number % 300 + 1} Example Street"],
        "city": f"Sampleton {number % 90 + 10}",
        "region": "Exampleshire",
        "postal_code": f"EX{number % 90 + 10} {number % 9 + 1}ZZ",
        "country": purchase.country,
        "phone": f"+447700900{number % 1_000:03}",
        "email": f"{purchase.person.replace(' ', '-').lower()}@shop.example",
    }
    return {**made_up, "delivery_note": note} if note else made_up


def basket(purchase: Purchase) -> dict[str, Any]:
    """Return what was bought; the sum is its own proof."""
    lines = (
        {
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price_minor,
        }
        for line in purchase.lines
    )
    return {
        "number": purchase.number,
        "placed_at": purchase.placed_at,
        "currency": CURRENCY,
        "exponent": EXPONENT,
        "lines": list(lines),
        "total_minor": purchase.total_minor,
    }


def invoice(purchase: Purchase) -> dict[str, Any]:
    """Return what tax law wants to see of it."""
    return {
        "number": f"INV-{purchase.number}",
        "issued_at": purchase.placed_at,
        "buyer": purchase.person,
        "country": purchase.country,
        "currency": CURRENCY,
        "exponent": EXPONENT,
        "tax_minor": purchase.total_minor // VAT_SHARE,
        "total_minor": purchase.total_minor,
    }


def _number(person: str) -> int:
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:4])
