"""A text is found in every form in which it can lie about, wherever it stands."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scan.needles import SHORTEST_BYTES, Matcher, NeedleTooShort

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=SHORTEST_BYTES, max_size=40)
AROUND = st.binary(max_size=20)


def found(needle: str, data: bytes) -> set[str]:
    """Return the forms in which the text is found."""
    return {match.form for match in Matcher([needle]).matches(data)}


@given(TEXTS, AROUND, AROUND)
def test_any_text_is_found_in_every_form_whatever_stands_around_it(text, before, after):
    """Base64 at all three alignments included."""
    plain = text.encode()
    for data in (plain, text.encode("utf-16-le"), text.encode("utf-16-be"), plain.hex().encode()):
        assert found(text, before + data + after)
    assert found(text, before + plain.hex().upper().encode() + after)
    assert found(text, before + quote(plain, safe="").encode() + after)
    for written in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        assert found(text, before + written.encode() + after)
        assert found(text, json.dumps({"inside": json.dumps({"note": text})}).encode())
        assert found(text, base64.b64encode(before + written.encode() + after))
    assert found(text, base64.b64encode(before + plain + after))
    assert found(text, base64.urlsafe_b64encode(before + plain + after))


@given(TEXTS, st.integers(1, 30), AROUND, AROUND)
def test_what_lies_across_two_pieces_is_found(text, size, before, after):
    """A stream is searched as if it were one."""
    data = before + text.encode() + after
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    assert {match.form for match in Matcher([text]).matches_in(pieces)} == found(text, data)
    positions = {m.form: m.position for m in Matcher([text]).matches_in(pieces, start=100)}
    assert positions == {m.form: m.position + 100 for m in Matcher([text]).matches(data)}


def test_another_text_is_not_found():
    """Similar is not the same."""
    assert not found("Zoë Smith-Jones", b"zoe smith-jones Zo\xc3\xab Smith Jones Wm_DqyBTbWl0aA")


def test_each_text_is_found_under_its_own_number():
    """Several texts in one search."""
    numbers = {
        match.needle for match in Matcher(["first text", "second text"]).matches(b"... second text ...")
    }
    assert numbers == {1}


def test_a_text_too_short_to_be_meant_is_refused():
    """It would be found by accident in any binary file."""
    with pytest.raises(NeedleTooShort):
        Matcher(["long enough", "short"])
