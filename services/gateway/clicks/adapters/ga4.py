"""GA4's words, as data layers, the Measurement Protocol and our own snippet say them.

A body is one event, a list of events, or one message about a page:

    {"event": "view_item", "ecommerce": {"items": [{"item_id": "85123A"}]}}                   a data layer's push
    {"page_location": "/p/85123A", "page_referrer": "/", "engagement_time_msec": 30000,
     "events": [{"name": "add_to_cart", "params": {"items": [{"item_id": "85123A"}]}}]}       a page, as the snippet

Source: developers.google.com/analytics/devguides/collection/ga4/reference/events.
"""

from collections.abc import Mapping
from typing import Any

from services.gateway.clicks.reading import Reading, Seen
from services.gateway.clicks.vocabulary import ENGAGEMENT, PAGE_VIEW, Drop

_ID = ("item_id", "item_name")
_CATEGORY = ("item_category",)
_NOTHING: Mapping[str, Any] = {}


def read(body: Any) -> Reading:
    """Return what a body of GA4's events says."""
    reading = Reading()
    for each in body if type(body) is list else [body]:
        if type(each) is not dict:
            reading.drop(Drop.MALFORMED)
        elif "events" in each:
            _page(reading, each)
        else:
            _event(reading, each)
    return reading


def _page(reading: Reading, message: Mapping[str, Any]) -> None:
    """Read a message about a page: itself a page view, then what was done there."""
    about = reading.without_identity(message)
    if location := reading.url(about.get("page_location")):
        reading.events.append(Seen(PAGE_VIEW, location, reading.url(about.get("page_referrer"))))
    if (seconds := reading.seconds(about.get("engagement_time_msec"))) is not None:
        reading.events.append(Seen(ENGAGEMENT, seconds=seconds))
    events = about["events"]
    if type(events) is not list:
        reading.drop(Drop.MALFORMED)
        return
    for each in events:
        if type(each) is dict:
            _event(reading, each)
        else:
            reading.drop(Drop.MALFORMED)


def _event(reading: Reading, event: Mapping[str, Any]) -> None:
    said = reading.without_identity(event)
    name = said.get("event", said.get("name"))
    if reading.refuses(name):
        return
    # Parameters stand in `params` (Measurement Protocol), in `ecommerce` (data layer) or beside the name.
    params = reading.without_identity(said.get("params")) or said
    shop = reading.without_identity(params.get("ecommerce")) or params
    reading.events.append(
        Seen(
            str(name),
            reading.url(params.get("page_location")),
            reading.url(params.get("page_referrer")),
            reading.text(params.get("search_term")),
            reading.seconds(params.get("engagement_time_msec")),
            reading.items(shop.get("items"), _ID, _CATEGORY),
        )
    )
