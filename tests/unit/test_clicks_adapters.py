"""What shops already emit, read as GA4's events: one example of each vocabulary as its own documentation writes it."""

import base64
import json
from typing import Any

import pytest

from services.gateway.clicks.adapters import ga4, segment, shopify, snowplow
from services.gateway.clicks.pages import pages_of
from services.gateway.clicks.reading import Reading
from services.gateway.clicks.site import INTERACTIONS
from services.gateway.clicks.vocabulary import IDENTITY, REFUSED, SEARCHES, VIEW_ITEM, Drop
from tests.unit.clicks_door import CANARY, ORIGIN, SHOP, SITE, ClickRoom

ACTION = "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2"
PRODUCT = "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0"
VARIANT = {
    "id": "40001", "sku": "85123A", "title": "Small", "price": {"amount": 3.5, "currencyCode": "GBP"},
    "product": {"id": "7001", "title": "T-light holder", "type": "lights", "vendor": CANARY, "url": "/products/t"},
}  # fmt: skip


def said(reading: Reading) -> list[tuple[Any, ...]]:
    """Return what stands in the events, without what is empty."""
    return [
        tuple(each for each in (e.name, e.location, e.referrer, e.term, e.seconds, e.items) if each)
        for e in reading.events
    ]


def segment_call(kind: str, **more: Any) -> dict[str, Any]:
    """Return a call with the common fields of Segment's specification, every one of which says who somebody is."""
    context = {
        "ip": CANARY, "userAgent": CANARY, "traits": {"email": CANARY}, "locale": "en-GB", "timezone": "Europe/London",
        "page": {"path": "/p/1", "referrer": f"{ORIGIN}/", "search": "", "title": CANARY, "url": f"{ORIGIN}/p/1"},
    }  # fmt: skip
    return {
        "type": kind, "anonymousId": CANARY, "userId": CANARY, "messageId": CANARY, "context": context,
        "timestamp": "2026-11-23T10:00:00Z", "sentAt": "2026-11-23T10:00:01Z", **more,
    }  # fmt: skip


def test_a_data_layers_push_is_read() -> None:
    push = {
        "event": "view_item",
        "ecommerce": {"currency": "GBP", "items": [{"item_id": "A", "item_category": "c"}, {"item_id": "B"}]},
    }
    assert said(ga4.read(push)) == [("view_item", (("A", "c"), ("B", "")))]


def test_the_measurement_protocol_is_read() -> None:
    body = {
        "client_id": CANARY,
        "events": [{"name": "view_search_results", "params": {"search_term": "red lamp", "session_id": 7}}],
    }
    reading = ga4.read(body)
    assert said(reading) == [("view_search_results", "red lamp")]
    assert reading.identity == {"client_id": 1, "session_id": 1}


@pytest.mark.parametrize(
    ("event", "name"),
    [
        *segment.NAMES.items(),
        ("Order Completed", ""),
        ("Checkout Started", ""),
        ("Signed Up", ""),
        (CANARY, ""),
    ],
)
def test_segments_names_are_ga4s_or_refused(event: str, name: str) -> None:
    properties = {"product_id": "A", "category": "c", "query": "lamp", "email": CANARY, "order_id": CANARY}
    reading = segment.read(segment_call("track", event=event, properties=properties), "track")
    assert [each.name for each in reading.events] == ([name] if name else [])
    assert bool(reading.dropped) == (not name)
    assert (reading.identity["email"], reading.identity["order_id"]) == (1, 1)
    assert reading.identity["traits"] == 1, "what stands in them is not even looked at"


def test_segments_batch_is_one_visitor_in_order() -> None:
    batch = [
        segment_call("page"),
        segment_call("track", event="Product Viewed", properties={"sku": "A", "category": "c"}),
        segment_call("track", event="Product Added", properties={"products": [{"product_id": "A"}]}),
        segment_call("track", event="Product Viewed", properties={"sku": "B"}),
        segment_call("identify", traits={"email": CANARY}),
        segment_call("group", groupId=CANARY),
        segment_call("alias", previousId=CANARY),
        7,
    ]
    reading = segment.read({"batch": batch, "writeKey": SHOP})
    first, second = pages_of(reading, SITE)
    assert (first.location, first.referrer, first.item) == (f"{ORIGIN}/p/1", f"{ORIGIN}/", "A")
    assert [each.name for each in first.interactions] == ["add_to_cart"]
    assert (second.location, second.item, second.previous_item) == ("", "B", "A")
    assert reading.dropped == {Drop.IDENTIFY: 1, Drop.GROUP: 1, Drop.ALIAS: 1, Drop.MALFORMED: 1}
    for name in ("anonymousId", "userId", "messageId", "ip", "userAgent", "groupId", "previousId"):
        assert reading.identity[name] > 0, name


@pytest.mark.parametrize("path", ["/v1/t", "/v1/track"])
@pytest.mark.parametrize("way", ["query", "body", "basic"])
async def test_segments_libraries_name_the_shop_as_their_write_key(path: str, way: str) -> None:
    """analytics.js puts it into the body, libraries into an HTTP basic authorization."""
    room = ClickRoom()
    call = segment_call("track", event="Product Viewed", properties={"sku": "A"})
    headers = {}
    if way == "body":
        call["writeKey"] = SHOP
    if way == "basic":
        headers["authorization"] = "Basic " + base64.b64encode(f"{SHOP}:".encode()).decode()
    answer = await room.beacon(call, path, SHOP if way == "query" else None, **headers)
    assert answer.status_code == 202
    assert [page.item for page in room.pages] == ["A"]


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic !", "Basic " + base64.b64encode(b"\xff:").decode(), "Bearer x"]
)
async def test_a_write_key_that_is_none_names_no_shop(authorization: str) -> None:
    answer = await ClickRoom().beacon(segment_call("page"), "/v1/page", None, authorization=authorization)
    assert (answer.status_code, answer.json()) == (404, {"code": "site-unknown"})


def self_described(kind: str) -> dict[str, Any]:
    """Return an e-commerce action as Snowplow's plugin tracks it."""
    return {"schema": ACTION, "data": {"type": kind, "name": CANARY}}


def payload(event: dict[str, Any], encoded: bool, *entities: dict[str, Any]) -> dict[str, Any]:
    """Return an event as a tracker posts it."""
    wrapped = {"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": event}
    beside = {
        "schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
        "data": list(entities),
    }
    texts = [json.dumps(each) for each in (wrapped, beside)]
    if encoded:
        texts = [base64.urlsafe_b64encode(each.encode()).decode().rstrip("=") for each in texts]
    names = ("ue_px", "cx") if encoded else ("ue_pr", "co")
    return {
        "e": "ue",
        "duid": CANARY,
        "uid": CANARY,
        "ip": CANARY,
        "ua": CANARY,
        **dict(zip(names, texts, strict=True)),
    }


def tp2(*events: dict[str, Any]) -> dict[str, Any]:
    """Return a tracker's body."""
    return {
        "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
        "data": list(events),
    }


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize(("kind", "name"), snowplow.NAMES.items())
def test_snowplows_actions_are_ga4s_with_their_products(kind: str, name: str, encoded: bool) -> None:
    product = {"schema": PRODUCT, "data": {"id": "A", "category": "c", "price": 3, "currency": "GBP"}}
    user = {"schema": PRODUCT.replace("product", "user"), "data": {"id": CANARY, "email": CANARY}}
    reading = snowplow.read(tp2(payload(self_described(kind), encoded, user, product)))
    assert said(reading) == [(name, (("A", "c"),))]
    assert reading.identity == {"duid": 1, "uid": 1, "ip": 1, "ua": 1}


def test_snowplows_page_views_and_pings_are_a_page_in_sight() -> None:
    page = {"e": "pv", "url": f"{ORIGIN}/p/1", "refr": f"{ORIGIN}/", "page": CANARY, "vid": 3}
    reading = snowplow.read(tp2(page, {"e": "pp", "url": f"{ORIGIN}/p/1"}, {"e": "pp"}))
    (counted,) = pages_of(reading, SITE)
    assert (counted.location, counted.referrer, counted.visible_seconds) == (
        f"{ORIGIN}/p/1",
        f"{ORIGIN}/",
        20.0,
    )


@pytest.mark.parametrize("kind", ["checkout_step", "transaction", "refund", "trns_error"])
@pytest.mark.parametrize("encoded", [True, False])
def test_snowplows_checkout_and_orders_are_refused(kind: str, encoded: bool) -> None:
    reading = snowplow.read(tp2(payload(self_described(kind), encoded)))
    assert (reading.events, reading.dropped) == ([], {REFUSED[kind]: 1})
    alone = snowplow.read(self_described(kind))
    assert (alone.events, alone.dropped) == ([], {REFUSED[kind]: 1})


@pytest.mark.parametrize("kind", ["tr", "ti"])
def test_snowplows_old_transactions_are_refused(kind: str) -> None:
    assert snowplow.read(tp2({"e": kind, "tr_id": CANARY})).dropped == {Drop.ORDER: 1}


def test_snowplows_site_search_is_a_search() -> None:
    event = {
        "schema": "iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0",
        "data": {"terms": ["red", "lamp"], "filters": {"a": CANARY}},
    }
    assert said(snowplow.read(event)) == [("search", "red lamp")]


@pytest.mark.parametrize(
    "nested", ["", "!", "e30", "bm90IGpzb24", "W" * 100_000, 7, None, {"data": CANARY}, "\ud800"]
)
def test_a_nested_text_that_is_none_is_counted(nested: Any) -> None:
    for name in ("ue_px", "ue_pr", "cx", "co"):
        reading = snowplow.read(tp2({"e": "ue", name: nested}))
        assert (reading.events, reading.dropped) == ([], {Drop.MALFORMED: 1})


def shopify_event(name: str, **data: Any) -> dict[str, Any]:
    """Return an event as a pixel gets it."""
    document = {
        "location": {"href": f"{ORIGIN}/p/1", "pathname": "/p/1"}, "referrer": f"{ORIGIN}/", "title": CANARY,
    }  # fmt: skip
    return {
        "id": CANARY, "clientId": CANARY, "name": name, "timestamp": "2026-11-23T10:00:00Z", "type": "standard",
        "context": {"document": document, "navigator": {"userAgent": CANARY}}, "data": data,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (shopify_event("page_viewed"), ("page_view", f"{ORIGIN}/p/1", f"{ORIGIN}/")),
        (shopify_event("product_viewed", productVariant=VARIANT), ("view_item", (("85123A", "lights"),))),
        (
            shopify_event(
                "search_submitted", searchResult={"query": "red lamp", "productVariants": [VARIANT]}
            ),
            ("search", "red lamp"),
        ),
        (
            shopify_event("product_added_to_cart", cartLine={"merchandise": VARIANT, "quantity": 1}),
            ("add_to_cart", (("85123A", "lights"),)),
        ),
        (
            shopify_event("product_removed_from_cart", cartLine={"merchandise": {**VARIANT, "sku": None}}),
            ("remove_from_cart", (("7001", "lights"),)),
        ),
        (shopify_event("cart_viewed", cart={"id": CANARY, "lines": []}), ("view_cart",)),
        (shopify_event("collection_viewed", collection={"id": "1", "title": CANARY}), ("view_item_list",)),
    ],
)
def test_shopifys_events_are_ga4s(event: dict[str, Any], expected: tuple[Any, ...]) -> None:
    reading = shopify.read([event])
    assert said(reading) == [expected]
    assert reading.identity["clientId"] == 1
    assert CANARY not in str(said(reading))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("checkout_started", Drop.CHECKOUT),
        ("payment_info_submitted", Drop.CHECKOUT),
        ("checkout_shipping_info_submitted", Drop.CHECKOUT),
        ("checkout_contact_info_submitted", Drop.CONTACT),
        ("checkout_address_info_submitted", Drop.CONTACT),
        ("checkout_completed", Drop.ORDER),
    ],
)
def test_shopifys_checkout_is_refused(name: str, why: Drop) -> None:
    reading = shopify.read(shopify_event(name, checkout={"email": CANARY, "order": {"id": CANARY}}))
    assert (reading.events, reading.dropped) == ([], {why: 1})


@pytest.mark.parametrize("read", [ga4.read, segment.read, snowplow.read, shopify.read])
@pytest.mark.parametrize(
    "body",
    [None, 7, "x", [], {}, [[]], [None], {"events": 7}, {"batch": {}}, {"data": 7}, {"event": []}, {"name": {}},
     {"name": "product_viewed", "data": 7, "context": []}, {"schema": ACTION}, {"schema": ACTION, "data": {"type": []}},
     {"events": [{"name": "view_item", "params": {"items": [7, {"item_id": {}}, {"item_id": True}]}}]}],
)  # fmt: skip
def test_no_shape_of_json_is_a_fault(read: Any, body: Any) -> None:
    for page in pages_of(read(body), SITE):
        assert all(isinstance(text, str) for text in (page.location, page.item, page.term))


def test_what_is_counted_is_never_refused_nor_identity() -> None:
    counted = {*INTERACTIONS, *SEARCHES, VIEW_ITEM, *segment.NAMES, *snowplow.NAMES, *shopify.NAMES}
    assert counted.isdisjoint(REFUSED)
    assert {*segment.NAMES.values(), *snowplow.NAMES.values(), *shopify.NAMES.values()} <= {
        *INTERACTIONS, *SEARCHES, VIEW_ITEM, "page_view",
    }  # fmt: skip
    assert IDENTITY.isdisjoint(
        {"item_id", "item_category", "search_term", "page_location", "page_referrer", "event"}
    )
