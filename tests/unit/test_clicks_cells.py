"""What of a page is counted: never more than a few cells, and nothing in them that the shop did not name (C3)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import CELL_FORM, OTHER, PARTS, SEPARATOR, Kind
from services.gateway.clicks.cells import BUCKETS, MOST_PER_PAGE, bucket_of, cells_of
from services.gateway.clicks.page import Interaction, Page
from services.gateway.clicks.site import Site
from tests.unit.examples import examples

ROUTES = ("/", "/p/{item}", "/c/{category}", "/search")


def site(**more: object) -> Site:
    given: dict[str, object] = {
        "storefront": "shop", "origins": ("https://shop.example",), "routes": ROUTES, "search_parameter": "q",
    }  # fmt: skip
    return Site.model_validate(given | more)


def said(page: Page, **more: object) -> dict[Kind, list[str]]:
    found: dict[Kind, list[str]] = {}
    for kind, cell in cells_of(page, site(**more)):
        found.setdefault(kind, []).append(cell)
    return found


def test_a_page_view_is_a_transition() -> None:
    assert said(Page("https://shop.example/")) == {Kind.TRANSITION: ["(entry)\t/"]}
    assert said(Page("/search", "/")) == {Kind.TRANSITION: ["/\t/search"]}
    assert said(Page("/account/jane", "/orders/7")) == {Kind.TRANSITION: ["(other)\t(other)"]}


def test_an_event_without_a_place_is_no_transition() -> None:
    assert said(Page("", item="X-1")) == {Kind.PRODUCT: ["X-1"]}


def test_the_route_names_the_product_where_the_page_does_not() -> None:
    """A browser keeps nothing: where it came from is all that says what was viewed before."""
    assert said(Page("/p/X-1", "/p/X-2"))[Kind.PRODUCT] == ["X-1"]
    assert said(Page("/p/X-1", "/p/X-2"))[Kind.PAIR] == ["X-2\tX-1"]
    assert said(Page("/p/X-1", item="Y-1"))[Kind.PRODUCT] == ["Y-1"]


@pytest.mark.parametrize(
    ("before", "item"), [("X-1", "X-1"), ("", "X-1"), ("X-1", ""), ("j@m.example", "X-1")]
)
def test_a_pair_is_of_two_different_products_that_have_names(before: str, item: str) -> None:
    assert Kind.PAIR not in said(Page("/", item=item, previous_item=before))


def test_products_go_by_item_or_by_category_everywhere() -> None:
    """Two numbers of one visit could be subtracted from each other."""
    page = Page(
        "/", item="X-1", previous_item="X-2", visible_seconds=5.0,
        interactions=(Interaction("add_to_cart", "X-1"), Interaction("share")),
    )  # fmt: skip
    categories = {"X-1": "lamps", "X-2": "beds"}
    by_item = said(page, categories=categories, dwell="product")
    by_category = said(page, categories=categories, products="category", dwell="product")
    assert by_item[Kind.PRODUCT] == ["X-1"] and by_category[Kind.PRODUCT] == ["lamps"]
    assert by_item[Kind.PAIR] == ["X-2\tX-1"] and by_category[Kind.PAIR] == ["beds\tlamps"]
    assert by_item[Kind.DWELL] == ["X-1\t0-10s"] and by_category[Kind.DWELL] == ["lamps\t0-10s"]
    assert by_item[Kind.INTERACTION] == ["add_to_cart\tX-1", "share\t(none)"]
    assert by_category[Kind.INTERACTION] == ["add_to_cart\tlamps", "share\t(none)"]


def test_a_term_comes_from_the_page_or_from_its_address() -> None:
    assert said(Page("/search?q=Red+Shoes"))[Kind.SEARCH] == ["red shoes"]
    assert said(Page("/search?q=Red+Shoes", term="BLUE lamp"))[Kind.SEARCH] == ["blue lamp"]
    assert said(Page("/search?q=jane%40mail.example"))[Kind.SEARCH] == ["(e-mail)"]
    assert Kind.SEARCH not in said(Page("/search?q="))


def test_the_time_in_sight_is_a_bucket_of_a_route_or_of_a_product() -> None:
    assert said(Page("/", visible_seconds=31.0, item="X-1"))[Kind.DWELL] == ["/\t30-60s"]
    assert Kind.DWELL not in said(Page("/", visible_seconds=31.0), dwell="product")
    assert Kind.DWELL not in said(Page("", visible_seconds=31.0))


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(None, ""), (-0.1, ""), (float("nan"), ""), (float("inf"), ""), (0.0, "0-10s"), (9.99, "0-10s"), (1e300, "10m+")]
    + [(bound, name) for bound, name in BUCKETS],
)  # fmt: skip
def test_buckets_know_their_bounds_and_refuse_nonsense(seconds: float | None, bucket: str) -> None:
    assert bucket_of(seconds) == bucket


def test_nothing_of_a_checkout_and_nothing_unknown_is_an_interaction() -> None:
    names = ("purchase", "begin_checkout", "sign_up", "Jane Doe", "", "add_to_cart")
    page = Page("/", interactions=tuple(Interaction(name) for name in names))
    assert said(page)[Kind.INTERACTION] == ["add_to_cart\t(none)"]


def test_a_page_says_nothing_in_its_repr() -> None:
    page = Page("/p/secret", term="secret", interactions=(Interaction("secret"),))
    assert "secret" not in f"{page!r}{page}{page.interactions!r}"


_TEXT = st.text(max_size=60) | st.sampled_from(
    ["/", "/p/X-1", "/c/lamps", "/search?q=a%20b", "X-1", "add_to_cart", "\t"]
)
_PAGES = st.builds(
    Page, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, st.none() | st.floats(),
    st.lists(st.builds(Interaction, _TEXT, _TEXT, _TEXT), max_size=40).map(tuple),
)  # fmt: skip


@given(_PAGES, st.booleans(), st.booleans())
@examples(400)
def test_whatever_a_browser_sends_its_cells_are_few_and_well_formed(
    page: Page, known: bool, dwell: bool
) -> None:
    more: dict[str, object] = {"categories": {"X-1": "lamps"}, "products": "category"} if known else {}
    cells = cells_of(page, site(**more, dwell="product" if dwell else "route"))
    assert len(cells) == len(set(cells)) <= MOST_PER_PAGE
    for kind, cell in cells:
        assert re.fullmatch(CELL_FORM, cell) and len(cell) <= 250
        parts = cell.split(SEPARATOR)
        assert len(parts) == PARTS[kind]
        if known and kind in (Kind.PRODUCT, Kind.PAIR):
            assert set(parts) <= {"lamps", OTHER}
