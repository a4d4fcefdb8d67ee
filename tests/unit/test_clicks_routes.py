"""A URL becomes what the shop wrote down beforehand, or `(other)`: nothing else of it is kept (C3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.clicks import OTHER
from services.gateway.clicks.routes import MOST_ROUTE, Match, Routes
from services.gateway.clicks.site import Site
from tests.unit.examples import examples

TEMPLATES = (
    "/",
    "/help",
    "/p/{item}",
    "/p/{item}/reviews",
    "/c/{category}/{item}",
    "/p/new",
    "/blog/*",
    "/größe/{x}",
)
PARAMETERS = {"sort": ("price", "name"), "page": ("1", "2")}
ROUTES = Routes(TEMPLATES, PARAMETERS, "q")


@pytest.mark.parametrize(
    ("url", "route"),
    [
        ("/", "/"),
        ("https://shop.example", "/"),
        ("https://shop.example?utm_source=x", "/"),
        ("https://shop.example:8443/help#ring-me-0151", "/help"),
        ("/help/", "/help"),
        ("//shop.example/help", OTHER),
        ("/help//", "/help"),
        ("/HELP", OTHER),
        ("/p/new", "/p/new"),
        ("/p/newer", "/p/{item}"),
        ("/p/jane.doe%40mail.example", "/p/{item}"),
        ("/p/a%2Fb", "/p/{item}"),
        ("/p/a/b", OTHER),
        ("/p/7/reviews", "/p/{item}/reviews"),
        ("/blog", OTHER),
        ("/blog/2026/jane", "/blog/*"),
        ("/gr%C3%B6%C3%9Fe/42", "/größe/{x}"),
        ("/gro%CC%88%C3%9Fe/42", "/größe/{x}"),
        ("/help;jsessionid=9A", "/help"),
        ("/%68elp", "/help"),
        ("/%2568elp", OTHER),
        ("/p/../account", OTHER),
        ("/p/%2e%2e/account", OTHER),
        ("/account/jane", OTHER),
        ("javascript:alert(1)", OTHER),
        ("data:text/html,/help", OTHER),
        ("ftp://shop.example/help", OTHER),
        ("help", OTHER),
        ("", OTHER),
        ("/p/%", "/p/{item}"),
        ("/p/%ff%fe", "/p/{item}"),
        ("/" + "a/" * 2_000, OTHER),
        ("/blog/" + "a/" * 100, OTHER),
        ("/help?sort=price&email=jane@mail.example", "/help?sort=price"),
        ("/help?page=2&sort=name", "/help?page=2&sort=name"),
        ("/help?sort=jane", "/help?sort=(other)"),
        ("/help?sort=price&sort=jane", "/help?sort=price"),
        ("/help?%73ort=%70rice", "/help?sort=price"),
        ("/help?" + "a=1&" * 200 + "sort=price", "/help"),
    ],
)
def test_a_url_becomes_its_template(url: str, route: str) -> None:
    assert ROUTES.match(url).route == route


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("/p/X1", Match("/p/{item}", "X1")),
        ("/c/lamps/X1", Match("/c/{category}/{item}", "X1", "lamps")),
        ("/c/l%61mps/X%31", Match("/c/{category}/{item}", "X1", "lamps")),
        ("/größe/42", Match("/größe/{x}")),
    ],
)
def test_a_template_says_where_the_product_stands(url: str, match: Match) -> None:
    assert ROUTES.match(url) == match


@pytest.mark.parametrize(
    ("url", "term"),
    [
        ("/s?q=red+shoes", "red shoes"),
        ("/s?a=1&q=%C3%BC", "ü"),
        ("/s?q=a&q=b", "a"),
        ("/s", ""),
        ("/s#?q=x", ""),
    ],
)
def test_the_search_parameter_is_read_and_is_no_part_of_a_route(url: str, term: str) -> None:
    assert ROUTES.term(url) == term
    assert "q=" not in ROUTES.match(url).route
    assert Routes(TEMPLATES, PARAMETERS).term(url) == ""


ALLOWED = {template.split("?")[0] for template in TEMPLATES} | {OTHER}
_URLISH = st.text(st.sampled_from("/%?&=;:#.\\ aehlpqst14é☃\ud800\x00"), max_size=60)


@given(_URLISH.map(lambda text: "/p" + text) | _URLISH | st.text(max_size=200))
@examples(300)
def test_whatever_the_url_only_what_the_shop_wrote_comes_out(url: str) -> None:
    """The names of routes are a finite set, whatever is sent."""
    route = ROUTES.match(url).route
    path, _, query = route.partition("?")
    assert path in ALLOWED
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        assert value in (*PARAMETERS[name], OTHER)
    assert len(route) <= MOST_ROUTE


def test_parameters_that_make_a_route_too_long_are_left_out() -> None:
    routes = Routes(["/" + "a" * 60], {f"parameter-{n}": ("x" * 30,) for n in range(5)})
    url = "/" + "a" * 60 + "?" + "&".join(f"parameter-{n}={'x' * 30}" for n in range(5))
    assert routes.match(url).route == "/" + "a" * 60


def _site(**more: object) -> Site:
    given = {"storefront": "shop", "origins": ("https://shop.example",), "routes": ("/",), **more}
    return Site.model_validate(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"routes": ("help",)},
        {"routes": ("/a//b",)},
        {"routes": ("/*/a",)},
        {"routes": ("/a?b=c",)},
        {"routes": ("/a b",)},
        {"routes": ("/" + "a" * 90,)},
        {"routes": ()},
        {"origins": ()},
        {"origins": ("https://shop.example/",)},
        {"origins": ("shop.example",)},
        {"origins": ("https://Shop.example",)},
        {"parameters": {"q": ("a\tb",)}},
        {"parameters": {"q": ()}, "search_parameter": "q"},
        {"products": "both"},
        {"products": "category"},
        {"interactions": ("purchase",)},
        {"interactions": ("sign_up",)},
        {"interactions": ("Jane Doe",)},
        {"categories": {"a": "x\ty"}},
        {"more": 1},
    ],
)
def test_a_site_that_would_keep_more_than_names_is_refused(wrong: dict[str, object]) -> None:
    """And the error quotes nothing of it."""
    with pytest.raises(ValidationError) as refused:
        _site(**wrong)
    assert "input_value" not in str(refused.value) and "Jane" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "item", "category", "product"),
    [
        ({}, "X-1", "", "X-1"),
        ({}, "", "lamps", ""),
        ({}, "jane@mail.example", "", OTHER),
        ({}, "0151-234-5678", "", OTHER),
        ({}, "RSSMRA85T10A562S", "", OTHER),
        ({}, "a" * 41, "", OTHER),
        ({"categories": {"X-1": "lamps"}}, "X-1", "", "X-1"),
        ({"categories": {"X-1": "lamps"}}, "X-2", "", OTHER),
        ({"categories": {"X-1": "lamps"}, "products": "category"}, "X-1", "beds", "lamps"),
        ({"categories": {"X-1": "lamps"}, "products": "category"}, "X-2", "beds", OTHER),
        ({"categories": {"X-1": "lamps"}, "products": "category"}, "", "lamps", "lamps"),
        ({"categories": {"X-1": "lamps"}, "products": "category"}, "", "", ""),
    ],
)
def test_a_product_goes_by_one_name(more: dict[str, object], item: str, category: str, product: str) -> None:
    """Either item or category, never both, and only what the shop named or what looks like an article's number."""
    assert _site(**more).product(item, category) == product
