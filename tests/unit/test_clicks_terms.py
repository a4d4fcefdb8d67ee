"""A search term is folded until it meets others like it; with something personal in it, nothing of it stays (C3)."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import CELL_FORM
from services.gateway.clicks.terms import MOST_KEPT, cleaned, term_of
from tests.unit.examples import examples


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("Red  Shoes ", "red shoes"),
        ("ＲＥＤ　ｓｈｏｅｓ", "red shoes"),
        ("red%20shoes", "red shoes"),
        ("red\tshoes\r\n", "red shoes"),
        ("re\u00add shoes\u200b", "red shoes"),
        ("STRASSE", "strasse"),
        ("Ǆ ﬁne", "dž fine"),
        ("４２ cm", "42 cm"),
        ("٤٢ cm", "42 cm"),
        ("iphone 12 128gb", "iphone 12 128gb"),
        ("100% cotton", "100% cotton"),
        ("bolt m8 x 100", "bolt m8 x 100"),
        ("size 38-40", "size 38-40"),
        ("1920x1080 monitor", "1920x1080 monitor"),
        ("猫", "猫"),
        ("cat at home dot pattern", "(e-mail)"),
        ("look at this lamp", "look at this lamp"),
    ],
)
def test_a_harmless_term_is_folded(text: str, term: str) -> None:
    assert term_of(text) == term


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe@mail.example", "e-mail"),
        ("write to Jane.Doe@Mail.Example please", "e-mail"),
        ("jane%40mail.example", "e-mail"),
        ("jane%2540mail.example", "e-mail"),
        ("jane.doe％40example.com", "e-mail"),
        ("jane.doe%４０example.com", "e-mail"),
        ("jane.doe％２５40example.com", "e-mail"),
        ("jane.doe%\u200b40example.com", "e-mail"),
        ("jane.doe%EF%BC%8540example.com", "e-mail"),
        ("jane＠mail。example", "e-mail"),
        ("ja\u200bne@mail\u2060.example", "e-mail"),
        ("jane @ mail.example", "e-mail"),
        ("@jane_doe", "e-mail"),
        ("jane at mail dot example", "e-mail"),
        ("jane [at] mail.example", "e-mail"),
        ("jane(at)mail(dot)example", "e-mail"),
        ("https://mail.example/u/jane", "link"),
        ("www.jane.example", "link"),
        ("192.168.0.17", "network address"),
        ("2001:db8::17", "network address"),
        ("DE89 3704 0044 0532 0130 00", "iban"),
        ("pay gb82west12345698765432 now", "iban"),
        ("4111 1111 1111 1111", "card"),
        ("４１１１-1111-1111-1111", "card"),
        ("AB 12 34 56 C", "national id"),
        ("RSSMRA85T10A562S", "national id"),
        ("x1234567l", "national id"),
        ("+49 151 23456789", "phone"),
        ("(030) 123 45 67", "phone"),
        ("order 20061234567", "number"),
        ("order 2006\u200b123\u200b4567", "number"),
        ("٠١٢٣٤٥٦٧٨٩", "number"),
    ],
)
def test_what_is_personal_takes_the_whole_term_with_it(text: str, kind: str) -> None:
    """What stands beside an address is a name more often than a product."""
    found = term_of(text)
    assert found is not None and found.startswith("(") and found.endswith(")")
    if kind not in ("phone", "number"):
        assert found == f"({kind})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\u200b\u200b",
        "a" * (MOST_KEPT + 1),
        "a" * 100_000,
        "%25252525252541",
        "％25252525252541",
        "\ufdfa" * 1_000,
        "%ff%fe",
        "\ud800",
    ],
)
def test_what_is_no_search_is_nothing(text: str) -> None:
    assert term_of(text) is None


def test_a_name_stays_a_name() -> None:
    """No pattern knows it: only the crowd protects whoever searches for himself (docs/privacy-of-statistics.md)."""
    assert term_of("Jane Doe") == "jane doe"


@given(st.text(max_size=300))
@examples(300)
def test_whatever_is_typed_a_term_fits_a_cell_and_is_folded_once(text: str) -> None:
    term = term_of(text)
    if term is None:
        return
    assert re.fullmatch(CELL_FORM, term) and len(term) <= MOST_KEPT
    term.encode()
    assert "@" not in term or not re.search(r"\S@\S", term)
    if not term.startswith("("):
        assert cleaned(term) == term and term_of(term) == term


_HIDING = st.sampled_from(
    ["%40", "％40", "%４０", "﹪4", "%", "％", "25", "２５", "%25", "4", "٤", "0", "@", "＠", "\u200b", "\u00ad", "a",
     "Å", "\u0301", "\u030a", "\u1100", "\u1161", "\ufdfa", "\u0345", "Σ", "ς", "İ", "Ｉ", " "]
)  # fmt: skip


@given(st.lists(_HIDING | st.characters(), max_size=20).map("".join))
@examples(400)
def test_nothing_hides_behind_an_escape_or_another_folding(text: str) -> None:
    """What a pattern did not see, nobody sees later: no `%40` is left, however it was written."""
    clean = cleaned(text)
    assert not re.search(r"%[0-9a-fA-F]{2}", clean)
    assert cleaned(clean) == clean
    assert unicodedata.normalize("NFKC", clean) == clean
    assert unicodedata.normalize("NFKC", clean.lower()) == clean


_DIGITS = st.integers(7, 19).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n))


@given(st.text("abc xyz", max_size=20), _DIGITS, st.sampled_from(["", " ", "-", ".", "/", ") ", " - "]))
@examples(200)
def test_no_long_number_stays_however_it_is_written(words: str, digits: str, between: str) -> None:
    """Orders, customers, phones, cards: seven digits name somebody."""
    written = between.join(digits)
    term = term_of(f"{words} {written}")
    assert term is None or not re.search(r"\d", term)


@given(
    st.from_regex(r"[a-z0-9._%+-]{1,20}@[a-z0-9.-]{1,20}\.[a-z]{2,6}", fullmatch=True), st.text(max_size=30)
)
@examples(200)
def test_no_e_mail_address_stays(address: str, words: str) -> None:
    term = term_of(f"{words} {address}")
    assert term is None or "@" not in term


def test_an_address_with_two_signs_is_no_term() -> None:
    """A slip of the finger makes it no less somebody's."""
    assert "jane" not in (term_of("ja\u200bne@@mail.example") or "")
