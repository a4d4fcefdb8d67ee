"""Segment's calls: `track`, `page` and `batch`, with the names of its e-commerce specification, version 2.

`identify`, `group` and `alias` say who somebody is and nothing else: they are dropped and counted. `context.ip` and
`context.userAgent` are not read either; a visitor is told apart by the connection alone.
Source: segment.com/docs/connections/spec (track, page, common fields) and …/spec/ecommerce/v2.
"""

from collections.abc import Mapping
from typing import Any

from services.gateway.clicks.reading import Reading, Seen
from services.gateway.clicks.vocabulary import CALLS, PAGE_VIEW, VIEW_ITEM, Drop

NAMES = {
    "Products Searched": "search",
    "Product List Viewed": "view_item_list",
    "Product Clicked": "select_item",
    "Product Viewed": VIEW_ITEM,
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Cart Viewed": "view_cart",
    "Product Added to Wishlist": "add_to_wishlist",
    "Promotion Viewed": "view_promotion",
    "Promotion Clicked": "select_promotion",
    "Product Shared": "share",
    "Cart Shared": "share",
}
"""GA4's name by Segment's."""

_ID = ("product_id", "sku")
_CATEGORY = ("category",)


def read(body: Any, kind: str = "batch") -> Reading:
    """Return what a call of this kind says."""
    reading = Reading()
    said = reading.without_identity(body)
    if type(body) is not dict:
        reading.drop(Drop.MALFORMED)
    elif kind == "batch":
        _batch(reading, said)
    else:
        _call(reading, said, kind)
    return reading


def write_key(body: Any) -> str:
    """Return the write key that a body names; a shop's own id, where it is ours."""
    key = body.get("writeKey") if type(body) is dict else None
    return key if type(key) is str else ""


def _batch(reading: Reading, said: Mapping[str, Any]) -> None:
    calls = said.get("batch")
    if type(calls) is not list:
        reading.drop(Drop.MALFORMED)
        return
    for call in calls:
        if type(call) is dict:
            _call(reading, reading.without_identity(call), call.get("type"))
        else:
            reading.drop(Drop.MALFORMED)


def _call(reading: Reading, call: Mapping[str, Any], kind: Any) -> None:
    properties = reading.without_identity(call.get("properties"))
    context = reading.without_identity(call.get("context"))
    page = reading.without_identity(context.get("page"))
    if kind == "page":
        location = reading.url(properties.get("url")) or reading.url(page.get("url"))
        referrer = reading.url(properties.get("referrer")) or reading.url(page.get("referrer"))
        reading.events.append(Seen(PAGE_VIEW, location, referrer))
    elif kind == "track":
        _track(reading, call.get("event"), properties)
    elif type(kind) is str and kind in CALLS:
        reading.drop(CALLS[kind])
    else:
        reading.drop(Drop.UNKNOWN)


def _track(reading: Reading, name: Any, properties: Mapping[str, Any]) -> None:
    if reading.refuses(name):
        return
    if name not in NAMES:
        reading.drop(Drop.UNKNOWN)
        return
    # One product stands in the properties themselves, several in a list.
    products = properties.get("products", [properties])
    term = reading.text(properties.get("query"))
    reading.events.append(Seen(NAMES[name], term=term, items=reading.items(products, _ID, _CATEGORY)))
