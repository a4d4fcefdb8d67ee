"""Any URL and any search: a name that the shop wrote, a clean term, or nothing; never an exception, never a stall."""

import re
import time

import pytest
from hypothesis import given

from schemas.clicks import CELL_FORM, OTHER
from services.gateway.clicks.routes import Routes
from services.gateway.clicks.terms import MOST_KEPT, term_of
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, NASTY, corpus, damaged

TEMPLATES = ("/", "/help", "/p/{item}", "/blog/*", "/größe/{x}")
ROUTES = Routes(TEMPLATES, {"sort": ("price", "name")}, "q")
NAMES = {
    template + said
    for template in (*TEMPLATES, OTHER)
    for said in ("", "?sort=price", "?sort=name", "?sort=(other)")
}
URLS = [
    f"https://shop.example/p/{CANARY}?sort=price&q={CANARY}".encode(),
    f"/account/{CANARY}".encode(),
    *dict(corpus("route")).values(),
]
TERMS = [b"red shoes 42", b"jane@mail.example", b"4111 1111 1111 1111", *dict(corpus("term")).values()]
MOST_SECONDS = 0.5
"""A text that takes longer would hold all others up; most take less than a thousandth of this."""


def read(data: bytes) -> list[str]:
    """Return the texts that bytes may arrive as: as JSON has them, or as a header."""
    return [
        data.decode("utf-8", "replace"),
        data.decode("utf-8", "surrogatepass" if _whole(data) else "replace"),
        data.decode("latin-1"),
    ]


def _whole(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def check_route(data: bytes) -> None:
    for url in read(data):
        began = time.process_time()
        match = ROUTES.match(url)
        ROUTES.term(url)
        assert time.process_time() - began < MOST_SECONDS
        assert match.route in NAMES
        assert not match.item or match.route.startswith("/p/{item}")


def check_term(data: bytes) -> None:
    for text in read(data):
        began = time.process_time()
        term = term_of(text)
        assert time.process_time() - began < MOST_SECONDS
        if term is not None:
            assert re.fullmatch(CELL_FORM, term) and len(term) <= MOST_KEPT
            assert not re.search(r"\S@\S|\d{7}", term)
            term.encode()


@pytest.mark.parametrize(("name", "data"), corpus("route"))
def test_a_url_that_was_once_trouble(name: str, data: bytes) -> None:
    check_route(data)


@pytest.mark.parametrize(("name", "data"), corpus("term"))
def test_a_search_that_was_once_trouble(name: str, data: bytes) -> None:
    check_term(data)


@given(damaged(URLS))
@examples(400)
def test_a_damaged_url_is_a_route_of_the_shop_or_none(data: bytes) -> None:
    check_route(data)


@given(damaged(TERMS))
@examples(400)
def test_a_damaged_search_is_clean_or_nothing(data: bytes) -> None:
    check_term(data)


@pytest.mark.parametrize(
    "piece", [*NASTY, b"1 ", b"a@", b"a1", b"::", b"1.", b"de12", b"%25", b"/a", b"a=b&", b"((((", b"+1-"]
)
def test_what_is_repeated_takes_no_longer_than_its_length(piece: bytes) -> None:
    """Patterns that look back would take hours for a kilobyte of the right kind."""
    for times in (1, 10, 33, 99, 1_000):
        check_route(b"/p/" + piece[:2_000] * times)
        check_term(piece[:2_000] * times)
