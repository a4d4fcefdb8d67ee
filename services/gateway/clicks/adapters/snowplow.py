"""Snowplow's tracker protocol: page views, page pings and the self-describing e-commerce action with its products.

A body is what a tracker posts (`payload_data`, a list of events whose parts are JSON in plain text or base64url), or
one self-describing e-commerce action by itself. `checkout_step`, `transaction` and the like are refused by name, and
the entities `user` and `checkout_step`, which hold an e-mail or an address, are never read.
Source: docs.snowplow.io (tracker protocol), snowplow/iglu-central com.snowplowanalytics.snowplow.ecommerce.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.errors import ContractError
from schemas.strict_json import parse
from services.gateway.clicks.reading import MOST_ITEMS, Reading, Seen
from services.gateway.clicks.vocabulary import ENGAGEMENT, PAGE_VIEW, VIEW_ITEM, Drop

NAMES = {
    "product_view": VIEW_ITEM,
    "list_view": "view_item_list",
    "list_click": "select_item",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "promo_view": "view_promotion",
    "promo_click": "select_promotion",
}
"""GA4's name by the action's type."""

PING_SECONDS = 10.0
"""How often a tracker says that a page is still in sight, as its documentation sets it up."""
MOST_NESTED_BYTES = 64 * 1024

_ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce/"
_SEARCH = "iglu:com.snowplowanalytics.snowplow/site_search/"
_ID = ("id", "sku", "name")
_CATEGORY = ("category",)


def read(body: Any) -> Reading:
    """Return what a tracker's body, or a bare self-describing event, says."""
    reading = Reading()
    if type(body) is not dict:
        reading.drop(Drop.MALFORMED)
    elif type(data := body.get("data")) is list:
        for each in data:
            _payload(reading, each)
    else:
        _described(reading, body, ())
    return reading


def _payload(reading: Reading, payload: Any) -> None:
    if type(payload) is not dict:
        reading.drop(Drop.MALFORMED)
        return
    said = reading.without_identity(payload)
    match said.get("e"):
        case "pv":
            reading.events.append(
                Seen(PAGE_VIEW, reading.url(said.get("url")), reading.url(said.get("refr")))
            )
        case "pp":
            reading.events.append(Seen(ENGAGEMENT, seconds=PING_SECONDS))
        case "ue":
            event = _nested(said.get("ue_pr"), said.get("ue_px"))
            entities = _nested(said.get("co"), said.get("cx"))
            _described(reading, _data(event), _entities(_data(entities)))
        case "tr" | "ti":
            reading.drop(Drop.ORDER)
        case _:
            reading.drop(Drop.UNKNOWN)


def _described(reading: Reading, event: Any, entities: Iterable[Mapping[str, Any]]) -> None:
    """Read a self-describing event; entities come beside it in a tracker's body, in itself otherwise."""
    schema = event.get("schema") if type(event) is dict else None
    if type(schema) is not str:
        reading.drop(Drop.MALFORMED)
        return
    data = reading.without_identity(event.get("data"))
    if schema.startswith(_SEARCH):
        _searched(reading, data)
    elif schema.startswith(_ECOMMERCE + "snowplow_ecommerce_action/"):
        _acted(reading, data.get("type"), [*entities, *_entities(event.get("context"))])
    elif not reading.refuses(schema.removeprefix("iglu:com.snowplowanalytics.snowplow/").partition("/")[0]):
        reading.drop(Drop.UNKNOWN)


def _acted(reading: Reading, kind: Any, entities: Iterable[Mapping[str, Any]]) -> None:
    if reading.refuses(kind):
        return
    if kind not in NAMES:
        reading.drop(Drop.UNKNOWN)
        return
    products = [each.get("data") for each in entities if _is_product(each)]
    reading.events.append(Seen(NAMES[kind], items=reading.items(products, _ID, _CATEGORY)))


def _searched(reading: Reading, data: Mapping[str, Any]) -> None:
    terms = data.get("terms")
    said = terms if type(terms) is list else [terms]
    reading.events.append(Seen("search", term=" ".join(filter(None, map(reading.text, said[:MOST_ITEMS])))))


def _is_product(entity: Mapping[str, Any]) -> bool:
    schema = entity.get("schema")
    return type(schema) is str and schema.startswith(_ECOMMERCE + "product/")


def _entities(said: Any) -> list[Mapping[str, Any]]:
    return [each for each in said if type(each) is dict] if type(said) is list else []


def _data(described: Any) -> Any:
    return described.get("data") if type(described) is dict else None


def _nested(plain: Any, encoded: Any) -> Any:
    """Return the JSON that a field holds as text, or as base64url; None for what is neither."""
    if type(plain) is dict:
        return plain
    try:
        if type(plain) is str:
            return parse(plain.encode(), MOST_NESTED_BYTES)
        if type(encoded) is str:
            padded = encoded + "=" * (-len(encoded) % 4)
            return parse(base64.b64decode(padded, altchars=b"-_", validate=True), MOST_NESTED_BYTES)
    except (ContractError, binascii.Error, ValueError):
        pass
    return None
