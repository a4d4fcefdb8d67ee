"""The sealed form: what was sealed opens where it belongs, and nothing that was touched opens at all (T1)."""

import copy
import pickle
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import RejectedRecord
from services.kernel.sealing.jwe import PLAINTEXT_BYTES, kid_of, padded_length, seal, unseal
from services.kernel.sealing.keys import DataKey, decoded, encoded, thumbprint
from services.kernel.sealing.place import Place, place

ORDER = "0123456789abcdef0123456789abcdef"
WHERE = place("orders", ORDER, "ship_to")
KEY = DataKey(bytes(range(32)))
SECRET = orjson.dumps({"name": "Zoë Canary", "line": "12 Rue de l'Été"})

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc é", max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@dataclass(frozen=True)
class Refusal:
    """How opening ended, and everything it said."""

    code: str
    text: str


def refused(token: str, key: DataKey = KEY, where: Place = WHERE) -> Refusal:
    with pytest.raises(RejectedRecord) as caught:
        unseal(token, key, where)
    assert caught.value.__cause__ is None
    return Refusal(caught.value.code, str(caught.value) + repr(caught.value))


@given(value=json_values, material=st.binary(min_size=32, max_size=32))
def test_what_was_sealed_opens_under_its_key_at_its_place(value: object, material: bytes) -> None:
    key = DataKey(material)
    token = seal(key, WHERE, orjson.dumps(value))
    assert orjson.loads(unseal(token, key, WHERE)) == value
    assert kid_of(token) == key.kid


@given(length=st.integers(1, PLAINTEXT_BYTES))
@settings(max_examples=60)
def test_the_length_of_a_sealed_value_says_only_its_bucket(length: int) -> None:
    size = padded_length(length)
    assert size >= length
    assert size in {64, 256, 1024} or (size > 1024 and size & (size - 1) == 0 and size < 2 * length)


def test_two_different_short_values_have_the_same_length() -> None:
    assert len(seal(KEY, WHERE, b'"NO"')) == len(seal(KEY, WHERE, b'"Liechtenstein, Vaduz, Schlossweg 1"'))


@pytest.mark.parametrize("plaintext", [b"", b'"x" ', b"x" * (PLAINTEXT_BYTES + 1)])
def test_what_could_not_come_back_unchanged_is_not_sealed(plaintext: bytes) -> None:
    with pytest.raises(ValueError, match="not a plaintext"):
        seal(KEY, WHERE, plaintext)


@pytest.mark.parametrize(
    "text", ["orders", 'orders/a"b/ship_to', "orders/a/ship to", "orders/a/b/c", "/a/b", "a" * 300]
)
def test_a_place_that_would_need_escaping_does_not_exist(text: str) -> None:
    with pytest.raises(ValueError, match="not a place"):
        seal(KEY, Place(text), SECRET)


def test_no_flipped_bit_opens() -> None:
    token = seal(KEY, WHERE, SECRET)
    for index in range(len(token)):
        for bit in range(8):
            altered = token[:index] + chr(ord(token[index]) ^ 1 << bit) + token[index + 1 :]
            assert refused(altered).code == "unsealing-failed"


def test_no_replaced_character_opens() -> None:
    """Spare bits of base64url give a token a second spelling: it is refused like any other alteration."""
    token = seal(KEY, WHERE, SECRET)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \n"
    for index in (token.index("..") - 1, *range(token.index(".."), token.index("..") + 20), *range(-30, 0)):
        at = index % len(token)
        for letter in alphabet:
            if letter != token[at]:
                refused(token[:at] + letter + token[at + 1 :])


@given(cut=st.integers(0, 400), more=st.text(max_size=4))
def test_no_shortened_or_lengthened_token_opens(cut: int, more: str) -> None:
    token = seal(KEY, WHERE, SECRET)
    altered = token[: len(token) - cut % len(token)] + more
    if altered != token:
        refused(altered)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": "A256GCM", "place": WHERE, "kid": KEY.kid},
        {"enc": "A256GCM", "alg": "dir", "kid": KEY.kid, "place": WHERE},
        {"alg": "dir", "enc": "A256GCM", "kid": KEY.kid},
        {"alg": "dir", "enc": "A256GCM", "kid": KEY.kid, "place": WHERE, "zip": "DEF"},
        {"alg": "dir", "enc": "A256GCM", "kid": KEY.kid, "place": WHERE, "crit": ["exp"]},
        {"alg": "dir", "enc": "A128GCM", "kid": KEY.kid, "place": WHERE},
        {"alg": "none", "enc": "A256GCM", "kid": KEY.kid, "place": WHERE},
        {"alg": "A256KW", "enc": "A256GCM", "kid": KEY.kid, "place": WHERE},
    ],
)
def test_another_header_never_opens_even_when_its_tag_is_right(header: dict[str, object]) -> None:
    """Who holds the key could authenticate any header: only the one form is opened."""
    refused(_token(orjson.dumps(header)))


def test_a_duplicate_or_spaced_member_never_opens() -> None:
    head = f'{{"alg":"dir","enc":"A256GCM","kid":"{KEY.kid}","place":"{WHERE}"'
    refused(_token((head + ',"place":"orders/x/y"}').encode()))
    refused(_token((head + " }").encode()))
    assert unseal(_token((head + "}").encode()), KEY, WHERE) == SECRET


def test_an_unpadded_value_never_opens() -> None:
    head = f'{{"alg":"dir","enc":"A256GCM","kid":"{KEY.kid}","place":"{WHERE}"}}'
    refused(_token(head.encode(), plaintext=SECRET))


@pytest.mark.parametrize(
    "where",
    [
        place("orders", "f" * 32, "ship_to"),
        place("orders", ORDER, "basket"),
        place("cases", ORDER, "ship_to"),
    ],
)
def test_a_value_moved_to_another_place_never_opens(where: Place) -> None:
    refused(seal(KEY, WHERE, SECRET), where=where)


def test_a_value_never_opens_under_another_key() -> None:
    """Not even when the header's kid is rewritten to that key's."""
    other = DataKey(bytes(32))
    token = seal(KEY, WHERE, SECRET)
    refused(token, key=other)
    head, _, rest = token.partition(".")
    refused(encoded(decoded(head).replace(KEY.kid.encode(), other.kid.encode())) + "." + rest, key=other)


def test_parts_of_two_values_do_not_combine() -> None:
    first, second = (seal(KEY, WHERE, text).split(".") for text in (SECRET, b'"other"'))
    for index in (2, 3, 4):
        refused(".".join([*first[:index], second[index], *first[index + 1 :]]))


def test_a_refusal_holds_no_value_and_does_not_tell_why() -> None:
    token = seal(KEY, WHERE, SECRET)
    answers = {
        refused(token[:-1] + "!"),
        refused(token, key=DataKey(bytes(32))),
        refused("x"),
        refused("\ud800...."),
    }
    assert len(answers) == 1
    assert "Canary" not in answers.pop().text


@pytest.mark.parametrize("token", ["", ".", "....", "e30..AAAA.AAAA.AAAA", "A" * 600_000, "é....", "\x00"])
def test_what_is_no_sealed_value_is_refused_when_its_key_is_asked_for(token: str) -> None:
    with pytest.raises(RejectedRecord, match="unsealing-failed"):
        kid_of(token)


def test_a_key_shows_and_gives_away_only_its_id() -> None:
    assert repr(KEY) == f"DataKey({KEY.kid})"
    assert KEY.text() not in repr(KEY)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(KEY)


def test_a_key_is_named_by_its_own_bytes() -> None:
    """RFC 7638 §3: the digest of the required members in lexicographic order; the id commits to the key."""
    assert DataKey.of_text(KEY.text()).kid == KEY.kid == thumbprint(bytes(range(32)))
    assert DataKey(bytes(31) + b"\x01").kid != DataKey(bytes(32)).kid


@pytest.mark.parametrize("text", ["", "AA", KEY.text() + "A", KEY.text()[:-1] + "9", KEY.text() + "="])
def test_a_key_text_that_is_not_canonical_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|canonical|base64|padd"):
        DataKey.of_text(text)


def _token(header: bytes, plaintext: bytes = SECRET.ljust(64)) -> str:
    """A correctly authenticated token with whatever header."""
    head, nonce = encoded(header), bytes(12)
    box = KEY.cipher.encrypt(nonce, plaintext, head.encode())
    return f"{head}..{encoded(nonce)}.{encoded(box[:-16])}.{encoded(box[-16:])}"
