"""The names that clicks are known by: GA4's are our own; what must not come in is refused or dropped by name.

Sources: GA4 recommended events, Segment Ecommerce v2, Snowplow ecommerce 1-0-2 and its tracker protocol, Shopify web
pixels, standard events.
Every list is closed, so that a metric's labels are constants of the code.
"""

from collections.abc import Mapping
from enum import StrEnum

from services.gateway.refusals import Code

PAGE_VIEW = "page_view"
VIEW_ITEM = "view_item"
ENGAGEMENT = "user_engagement"
SEARCHES = frozenset({"search", "view_search_results"})


class Drop(StrEnum):
    """Why something that was sent is not counted; the label of a metric, and what the sender is told."""

    REFUSED = "refused"
    """The visitor said no: Sec-GPC or DNT."""
    BOT = "bot"
    CHECKOUT = Code.CHECKOUT_EVENT
    CONTACT = Code.CONTACT_EVENT
    ORDER = Code.ORDER_EVENT
    IDENTIFY = "identify"
    GROUP = "group"
    ALIAS = "alias"
    UNKNOWN = "unknown-event"
    """No name that this shop counts."""
    MALFORMED = "not-an-event"
    TOO_LONG = "text-too-long"
    FOREIGN_PAGE = "foreign-page"
    """A page of another origin than the shop's own."""
    NO_PAGE = "no-page"
    """A time in sight of no page."""


REFUSED_BY_NAME = frozenset({Drop.CHECKOUT, Drop.CONTACT, Drop.ORDER})
"""A sender of nothing else is told so with 422."""

_CHECKOUT = (
    "begin_checkout checkout_progress set_checkout_option add_shipping_info add_payment_info",
    "Checkout Started|Checkout Step Viewed|Checkout Step Completed|Payment Info Entered|Coupon Entered"
    "|Coupon Applied|Coupon Denied|Coupon Removed",
    "checkout_step",
    "checkout_started checkout_shipping_info_submitted payment_info_submitted alert_displayed ui_extension_errored",
)
_CONTACT = (
    "generate_lead sign_up login qualify_lead disqualify_lead working_lead close_convert_lead form_start form_submit",
    "Signed Up|Signed In|Signed Out|Account Created|Account Deleted|Invite Sent|Email Opened|Email Link Clicked"
    "|Product Reviewed",
    "submit_form change_form focus_form",
    "checkout_contact_info_submitted checkout_address_info_submitted form_submitted input_blurred input_changed"
    " input_focused",
)
_ORDER = (
    "purchase refund in_app_purchase",
    "Order Completed|Order Updated|Order Refunded|Order Cancelled",
    "transaction trns_error transaction_item",
    "checkout_completed",
)


def _names(*lists: str) -> list[str]:
    return [name for each in lists for name in (each.split("|") if "|" in each else each.split())]


REFUSED: Mapping[str, Drop] = {
    **dict.fromkeys(_names(*_CHECKOUT), Drop.CHECKOUT),
    **dict.fromkeys(_names(*_CONTACT), Drop.CONTACT),
    **dict.fromkeys(_names(*_ORDER), Drop.ORDER),
}
"""Events that name somebody or lead to an order, in every vocabulary that is read here."""

CALLS: Mapping[str, Drop] = {"identify": Drop.IDENTIFY, "group": Drop.GROUP, "alias": Drop.ALIAS}
"""Calls that say who somebody is."""

CLICK_IDS = (
    "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "ttclid", "twclid", "li_fat_id", "yclid",
    "igshid", "mc_eid", "mc_cid", "_ga", "_gl", "_hsenc", "_hsmi", "epik", "srsltid",
)  # fmt: skip
"""What advertisers and mailers hang on a link to know a visitor again."""

IDENTITY = frozenset(
    {
        # GA4 and the Measurement Protocol
        "client_id", "user_id", "app_instance_id", "session_id", "ga_session_id", "user_data", "user_properties",
        "user_location", "ip_override", "device", "transaction_id", *CLICK_IDS,
        # Segment
        "userId", "anonymousId", "previousId", "groupId", "messageId", "traits", "ip", "userAgent", "userAgentData",
        "email", "phone", "first_name", "last_name", "order_id", "cart_id", "checkout_id",
        # Snowplow
        "uid", "duid", "nuid", "tnuid", "sid", "vid", "fp", "ua", "eid",
        # Shopify
        "clientId", "customer", "customerId", "checkout",
    }
)  # fmt: skip
"""Fields that say, or lead to, who somebody is. They are not read but for their name, which is counted."""
