"""Shopify's web pixel events, as a custom pixel gets them from `analytics.subscribe`: one event, or a list.

Of an event, the page's address, the product variant and the search's words are read. Checkout events, which carry an
e-mail and addresses, are refused by name. Source: shopify.dev/docs/api/web-pixels-api/standard-events.
"""

from collections.abc import Mapping
from typing import Any

from services.gateway.clicks.reading import Reading, Seen
from services.gateway.clicks.vocabulary import PAGE_VIEW, VIEW_ITEM, Drop

NAMES = {
    "page_viewed": PAGE_VIEW,
    "product_viewed": VIEW_ITEM,
    "search_submitted": "search",
    "collection_viewed": "view_item_list",
    "product_added_to_cart": "add_to_cart",
    "product_removed_from_cart": "remove_from_cart",
    "cart_viewed": "view_cart",
}
"""GA4's name by Shopify's."""


def read(body: Any) -> Reading:
    """Return what a body of pixel events says."""
    reading = Reading()
    for each in body if type(body) is list else [body]:
        if type(each) is dict:
            _event(reading, reading.without_identity(each))
        else:
            reading.drop(Drop.MALFORMED)
    return reading


def _event(reading: Reading, event: Mapping[str, Any]) -> None:
    name = event.get("name")
    if reading.refuses(name):
        return
    if name not in NAMES:
        reading.drop(Drop.UNKNOWN)
        return
    data = reading.without_identity(event.get("data"))
    location, referrer = _page(reading, event) if name == "page_viewed" else ("", "")
    term = reading.text(_at(data, "searchResult", "query"))
    items = tuple(item for each in _variants(data) if (item := _product(reading, each))[0])
    reading.events.append(Seen(NAMES[name], location, referrer, term, items=items))


def _page(reading: Reading, event: Mapping[str, Any]) -> tuple[str, str]:
    context = reading.without_identity(event.get("context"))
    reading.without_identity(context.get("navigator"))
    document = context.get("document")
    return reading.url(_at(document, "location", "href")), reading.url(_at(document, "referrer"))


def _variants(data: Mapping[str, Any]) -> list[Any]:
    """Return the product variants that an event is about, not those of a list that was merely shown."""
    of_line = _at(data, "cartLine", "merchandise")
    return [each for each in (data.get("productVariant"), of_line) if type(each) is dict]


def _product(reading: Reading, variant: Mapping[str, Any]) -> tuple[str, str]:
    sku = reading.text(variant.get("sku")) or reading.text(_at(variant, "product", "id"))
    return sku or reading.text(variant.get("id")), reading.text(_at(variant, "product", "type"))


def _at(said: Any, *path: str) -> Any:
    for name in path:
        said = said.get(name) if type(said) is dict else None
    return said
