"""Real orders as a storefront sends them: the baskets of five trading days, ids and people made anew each time."""

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from schemas.addresses import Recipient
from services.demo import people, retail

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "retail"
MADE_UP = 500
"""So many orders of the same shape, where the real ones are not at hand."""


def purchases() -> tuple[retail.Purchase, ...]:
    """Return the orders of the real shop, else made-up ones like them."""
    try:
        return retail.read(RETAIL).purchases
    except FileNotFoundError:
        return retail.generate(MADE_UP).purchases


def placed(purchase: retail.Purchase, carrier: str) -> dict[str, Any]:
    """Return what the event says beside its ids."""
    return {"carrier": carrier, "basket": people.basket(purchase), "ship_to": people.recipient(purchase)}


def endless(kind: str, contents: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield events of one kind in JSON for ever: each of another person and another order, contents in turn."""
    # Written around the ids, so that making them costs the machine nothing worth measuring.
    rests = [orjson.dumps(content)[1:] for content in contents]
    for rest in itertools.cycle(rests):
        yield b'{"id":"%b","type":"lethe.order.%b.v1","subject":"%b","data":{"order":"%b",%b}' % (
            str(uuid.uuid4()).encode(), kind.encode(), new_id(), new_id(), rest,
        )  # fmt: skip


def new_id() -> bytes:
    """Return a subject or order id."""
    return os.urandom(16).hex().encode()


def recipient_text(purchase: retail.Purchase) -> bytes:
    """Return where its parcel goes, as the gateway seals it."""
    return Recipient.model_validate_json(orjson.dumps(people.recipient(purchase))).model_dump_json(
        exclude_none=True
    ).encode()  # fmt: skip
