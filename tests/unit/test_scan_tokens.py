"""Sealed values are collected in every form, whole or cut into pieces by whoever reads them."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import place
from services.keyring.offline import LivingKeys
from services.scan.tokens import FORMS, TokenCollector, written

KEY = DataKey.fresh()
WHERE = place("orders", "a" * 32, "ship_to")
TOKEN = seal(KEY, WHERE, b'{"name":"A. Customer"}')
WRITINGS = {
    "plain": lambda data: data,
    "utf-16": lambda data: data.decode("latin-1").encode("utf-16-le"),
    "utf-16-be": lambda data: data.decode("latin-1").encode("utf-16-be"),
    "hex": lambda data: data.hex().encode(),
    "hex-upper": lambda data: data.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64-url": base64.urlsafe_b64encode,
}


def collected(*pieces: bytes) -> tuple[str, ...]:
    """Return what is found in a stream."""
    collector = TokenCollector()
    list(collector.matches_in(pieces))
    return collector.tokens


@pytest.mark.parametrize("form", WRITINGS)
@settings(deadline=None, max_examples=30)
@given(before=st.integers(0, 4), size=st.integers(5, 400))
def test_a_value_is_collected_in_every_form_wherever_the_stream_is_cut(form, before, size):
    """At every alignment of base64; what stands around it belongs to the document, not to the value."""
    document = b"\0\xff" + WRITINGS[form](b"x" * before + b'"' + TOKEN.encode() + b'"') + b"\0\x01"
    pieces = [document[start : start + size] for start in range(0, len(document), size)]
    assert collected(document) == collected(*pieces) == (TOKEN,)


def test_what_the_control_is_written_as_is_found_in_every_form():
    """So each form has a control."""
    collector = TokenCollector()
    matches = list(collector.matches(b"\n".join(written(TOKEN))))
    assert {match.form for match in matches} == set(FORMS) and collector.tokens == (TOKEN,)


def test_values_side_by_side_are_told_apart_and_numbered_once():
    """As the columns of a row lie, with nothing but a length between."""
    other = seal(KEY, WHERE, b'"another"')
    collector = TokenCollector()
    first = [match.needle for match in collector.matches(TOKEN.encode() + b"\0\0\1" + other.encode())]
    again = [match.needle for match in collector.matches(json.dumps([other, TOKEN]).encode(), 50)]
    assert collector.tokens == (TOKEN, other) and first == [0, 1] and sorted(again) == [0, 1]


def test_a_value_of_which_an_end_is_missing_is_counted_as_a_piece():
    """It has no tag to open it by."""
    collector = TokenCollector()
    assert not list(collector.matches(TOKEN[:-5].encode() + b"\0 and so on"))
    assert collector.pieces == 1 and collector.tokens == ()


def test_living_keys_open_by_name_or_by_force_and_show_nothing():
    """A value under another key than it names is found, too; a broken one is none."""
    other = DataKey.fresh()
    other.kid = KEY.kid
    swapped = seal(other, WHERE, b'"hidden"')
    keys = LivingKeys({"another": other, KEY.kid: KEY}, 2)
    assert (keys.named(TOKEN) or "").strip() == '{"name":"A. Customer"}'
    assert keys.named(swapped) is None and (keys.any(swapped) or "").strip() == '"hidden"'
    assert keys.any(seal(DataKey.fresh(), WHERE, b'"lost"')) is None
    assert keys.named("eyJhbGciOiJkaXIi..a.b.c") is None and keys.any("eyJhbGciOiJkaXIi..a.b.c") is None
    assert repr(keys) == "LivingKeys(2)"
