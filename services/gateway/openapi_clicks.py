"""What the OpenAPI document says of the calls that browsers make."""

from typing import Any

from services.gateway.clicks.collect import COLLECT, MOST_EVENTS
from services.gateway.clicks.head import BODY_BYTES
from services.gateway.clicks.vocabulary import Drop
from services.gateway.refusals import Code

REFUSALS = (
    Code.BODY_TOO_LARGE, Code.BODY_SLOW, Code.CONTENT_TYPE, Code.CONTENT_ENCODING, Code.TOO_MANY_EVENTS,
    Code.SITE_UNKNOWN, Code.ORIGIN_FOREIGN, Code.CHECKOUT_EVENT, Code.CONTACT_EVENT, Code.ORDER_EVENT,
    Code.TAG_KEY_MISSING, Code.STORE_UNAVAILABLE, Code.INTERNAL,
)  # fmt: skip
PATHS = {
    COLLECT: ("collectClicks", "Count what was done on a page, in GA4's words", "Clicks"),
    "/v1/track": ("segmentTrack", "Segment's `track`", "Segment"),
    "/v1/page": ("segmentPage", "Segment's `page`", "Segment"),
    "/v1/batch": ("segmentBatch", "Segment's `batch`", "Segment"),
    "/v1/identify": ("segmentIdentify", "Segment's `identify`: dropped and counted", "Segment"),
    "/v1/group": ("segmentGroup", "Segment's `group`: dropped and counted", "Segment"),
    "/v1/alias": ("segmentAlias", "Segment's `alias`: dropped and counted", "Segment"),
    "/v1/t": ("segmentT", "`track`, as analytics.js calls it", "Segment"),
    "/v1/p": ("segmentP", "`page`, as analytics.js calls it", "Segment"),
    "/v1/b": ("segmentB", "`batch`, as analytics.js calls it", "Segment"),
    "/v1/i": ("segmentI", "`identify`, as analytics.js calls it: dropped and counted", "Segment"),
    "/v1/g": ("segmentG", "`group`, as analytics.js calls it: dropped and counted", "Segment"),
    "/v1/a": ("segmentA", "`alias`, as analytics.js calls it: dropped and counted", "Segment"),
    "/v1/snowplow": ("snowplow", "Snowplow's tracker protocol and e-commerce actions", "Snowplow"),
    "/v1/shopify": ("shopify", "Shopify's web pixel events", "Shopify"),
}
"""Name, summary and schema of the calls that browsers make."""

DESCRIPTION = (
    f"At most {MOST_EVENTS} events and {BODY_BYTES} bytes. Called by browsers, from one of the shop's origins, without "
    "a token, a cookie or an identifier. Said again by the same visitor within a window, it changes no number."
)
SHOP: dict[str, Any] = {
    "name": "shop",
    "in": "query",
    "schema": {"type": "string"},
    "description": "The storefront's id. Segment's libraries may say it as their write key instead.",
}

_TEXT = {"type": "string"}
_ITEM = {"type": "object", "properties": {"item_id": _TEXT, "item_category": _TEXT}}
_PARAMETERS = {
    "page_location": _TEXT, "page_referrer": _TEXT, "search_term": _TEXT, "engagement_time_msec": {"type": "number"},
    "items": {"type": "array", "items": _ITEM},
}  # fmt: skip
_CLICK = {
    "type": "object",
    "description": "An event by its GA4 name, as a data layer holds it; its parameters beside the name, in `params` or "
    "in `ecommerce`. Any other field is never read.",
    "properties": {
        "event": _TEXT, "name": _TEXT, **_PARAMETERS,
        "params": {"type": "object", "properties": _PARAMETERS},
        "ecommerce": {"type": "object", "properties": {"items": _PARAMETERS["items"]}},
    },
}  # fmt: skip
_PAGE = {
    "type": "object",
    "description": "One message about a page, as the snippet sends it: what was done there, and for how long.",
    "properties": _PARAMETERS | {"events": {"type": "array", "items": _CLICK}},
    "required": ["events"],
}
SCHEMAS: dict[str, Any] = {
    "Clicks": {"anyOf": [_PAGE, _CLICK, {"type": "array", "items": {"anyOf": [_PAGE, _CLICK]}}]},
    "Segment": {
        "type": "object",
        "description": "As in Segment's HTTP tracking API and its e-commerce specification.",
    },
    "Snowplow": {
        "type": "object",
        "description": "A tracker's `payload_data`, or one self-describing `snowplow_ecommerce_action`.",
    },
    "Shopify": {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]},
    "Read": {
        "type": "object",
        "properties": {
            "accepted": {"type": "boolean"},
            "dropped": {
                "type": "object",
                "description": "How many events were not taken, by reason.",
                "propertyNames": {"enum": sorted(Drop)},
                "additionalProperties": {"type": "integer"},
            },
        },
        "required": ["accepted"],
    },
}
