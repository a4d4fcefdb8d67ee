"""What a shop says about itself: which routes, parameters, products and interactions may be counted by name.

Whatever it does not name is counted as `(other)` or not at all: a name that nobody wrote down can be a person's.
"""

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.clicks import OTHER
from schemas.ids import NAME_FORM
from services.gateway.clicks.routes import Routes
from services.gateway.clicks.scrubbing import is_personal

MOST_ROUTES = 500
MOST_PRODUCTS = 100_000

_NAME = r"[\w.~+,:@-]{1,60}"
_SEGMENT = rf"(?:{_NAME}|\{{[a-z_]{{1,30}}\}})"
_ROUTE = rf"/(?:(?:{_SEGMENT}/){{0,9}}(?:{_SEGMENT}|\*))?"
"""`/`, `/help`, `/p/{item}`, `/blog/*`, decoded: a placeholder stands for one segment, a star at the end for any rest.

What stands in the place of `{item}` or `{category}` says the product of a page that does not say it otherwise.
"""
ORIGIN_FORM = r"^(?:null|https?://[a-z0-9.-]{1,200}(?::[0-9]{1,5})?)$"
"""`null` is what a sandboxed frame says: the one that Shopify runs a custom pixel in, and any other."""

ITEM_FORM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"


def _route(text: str) -> str:
    # Not a pattern of pydantic's: its engine has no room for so many kinds of letters.
    if not re.fullmatch(_ROUTE, text):
        raise ValueError("not a template of a route")
    return text


RouteTemplate = Annotated[str, StringConstraints(max_length=80), AfterValidator(_route)]
Origin = Annotated[str, StringConstraints(pattern=ORIGIN_FORM)]
Parameter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,30}$")]
Value = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,30}$")]
Product = Annotated[str, StringConstraints(pattern=r"^[^\u0000-\u001F\u007F-\u009F\uFEFF]{1,100}$")]
InteractionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

INTERACTIONS = (
    "add_to_cart",
    "remove_from_cart",
    "view_cart",
    "add_to_wishlist",
    "select_item",
    "view_item_list",
    "select_promotion",
    "view_promotion",
    "share",
    "video_play",
)
"""GA4's names for what is done in a shop without saying who did it; nothing of a checkout is among them."""

CHECKOUT = frozenset(
    {
        "begin_checkout",
        "add_shipping_info",
        "add_payment_info",
        "purchase",
        "refund",
        "generate_lead",
        "sign_up",
        "login",
    }
)
"""GA4's names for what belongs to an order or a person, and is never counted."""


class Site(BaseModel):
    """One shop's pages. Read from a file of the shop's own, so errors name fields and never quote them."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    storefront: Annotated[str, StringConstraints(pattern=NAME_FORM)]
    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=20)]
    """Where its pages are served from, as browsers write it: scheme, host and port, no path."""
    routes: Annotated[tuple[RouteTemplate, ...], Field(min_length=1, max_length=MOST_ROUTES)]
    """Templates of its paths; of two that fit, the one with the earlier literal segment is taken."""
    parameters: dict[Parameter, Annotated[tuple[Value, ...], Field(max_length=50)]] = {}
    """Query parameters that belong to a route, with the values they may have; any other value is `(other)`."""
    search_parameter: Parameter | None = None
    """The parameter that holds what was searched for; it never becomes part of a route."""
    products: Literal["item", "category"] = "item"
    """What stands for a product in every statistic: both could be subtracted from each other."""
    dwell: Literal["route", "product"] = "route"
    """What the time in sight is counted of."""
    categories: Annotated[dict[Product, Product], Field(max_length=MOST_PRODUCTS)] = {}
    """Category by item. Where it is not empty, items that are not in it are `(other)`."""
    interactions: Annotated[tuple[InteractionName, ...], Field(max_length=50)] = INTERACTIONS

    @model_validator(mode="after")
    def _consistent(self) -> "Site":
        if self.search_parameter in self.parameters:
            raise ValueError("the search parameter cannot belong to a route")
        if self.products == "category" and not self.categories:
            raise ValueError("products by category need the categories")
        if any(name in CHECKOUT for name in self.interactions):
            raise ValueError("nothing of a checkout is counted")
        return self

    @cached_property
    def known_routes(self) -> Routes:
        """The routes, ready for look-ups."""
        return Routes(self.routes, self.parameters, self.search_parameter)

    @cached_property
    def known_categories(self) -> frozenset[str]:
        """Every category that an item may be of."""
        return frozenset(self.categories.values())

    def product(self, item: str, category: str) -> str:
        """Return the name by which a product is counted: of an item or a category, as the shop chose; "" for none.

        Where the shop gave no list of items, one that looks like an article's number is taken at its word, unless
        it looks like a number that names somebody as well.
        """
        if not item and not category:
            return ""
        if self.products == "category":
            named = self.categories.get(item) or category
            return named if named in self.known_categories else OTHER
        if not item:
            return ""
        if self.categories:
            return item if item in self.categories else OTHER
        return item if re.fullmatch(ITEM_FORM, item) and not is_personal(item.lower()) else OTHER

    def __repr__(self) -> str:
        return f"Site({self.storefront})"
