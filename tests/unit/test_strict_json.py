"""What the edge reads as JSON has one meaning, and what it refuses it refuses without repeating it."""

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import ContractError
from schemas.orders import OrderPlaced
from schemas.strict_json import names_each_key_once, parse, read, violation

CANARY = "Zoë Canary"
MANY = 100_000


def refusal(data: bytes) -> str:
    with pytest.raises(ContractError) as caught:
        parse(data, MANY)
    error = caught.value
    assert error.path == "" and CANARY not in repr(error)
    assert error.__context__ is None and error.__cause__ is None
    return error.code


def nested(depth: int, opened: str = "[", closed: str = "]") -> bytes:
    return (opened * depth + closed * depth).encode()


REFUSED = {
    "empty": (b"", "not-json"),
    "not JSON": (b"{order: 1}", "not-json"),
    "cut off": (b'{"name":"Zo', "not-json"),
    "two values": (b"{} {}", "not-json"),
    "a trailing comma": (b"[1,]", "not-json"),
    "a comment": (b"[1] // x", "not-json"),
    "a leading zero": (b"[01]", "not-json"),
    "a hexadecimal number": (b"[0x1]", "not-json"),
    "a raw newline in a string": (b'"a\nb"', "control-character"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte-order-mark"),
    "UTF-16 with a mark": ('{"a":1}'.encode("utf-16"), "not-utf-8"),
    "UTF-16, big-endian, unmarked": ('{"a":1}'.encode("utf-16-be"), "not-utf-8"),
    "UTF-16, little-endian, unmarked": ('{"a":1}'.encode("utf-16-le"), "not-utf-8"),
    "UTF-32": ('{"a":1}'.encode("utf-32-le"), "not-utf-8"),
    "Latin-1": ('"Zo\xeb"'.encode("latin-1"), "not-utf-8"),
    "overlong UTF-8": (b'"\xc0\xaf"', "not-utf-8"),
    "a surrogate as UTF-8": (b'"\xed\xa0\x80"', "not-utf-8"),
    "a lone high surrogate": (b'"\\ud800"', "lone-surrogate"),
    "a lone high surrogate before text": (b'"\\ud800x"', "lone-surrogate"),
    "a lone low surrogate": (b'"\\udc00"', "lone-surrogate"),
    "a surrogate in a key": (b'{"\\ud800":1}', "lone-surrogate"),
    "NUL, escaped": (b'{"a":"x\\u0000"}', "nul"),
    "NUL in a key": (b'{"x\\u0000":[]}', "nul"),
    "NUL deep inside": (b'[[{"a":["\\u0000"]}]]', "nul"),
    "NUL, raw": (b'{"abc":"\0"}', "control-character"),
    "NaN": (b'{"a":NaN}', "number-not-finite"),
    "Infinity": (b"[1, Infinity]", "number-not-finite"),
    "minus Infinity": (b"[-Infinity]", "number-not-finite"),
    "1e999": (b'{"a":1e999}', "number-out-of-range"),
    "-1e999": (b"-1e999", "number-out-of-range"),
    "2 to the 63": (b"[9223372036854775808]", "number-out-of-range"),
    "beneath -2 to the 63": (b"[-9223372036854775809]", "number-out-of-range"),
    "2 to the 64": (b'{"a":18446744073709551616}', "number-out-of-range"),
    "a 5,000-digit integer": (b"1" * 5_000, "number-out-of-range"),
    "300 digits, still a finite float": (b"[" + b"9" * 300 + b"]", "number-out-of-range"),
    "a duplicate key": (b'{"a":1,"a":2}', "duplicate-key"),
    "a duplicate key, spaced": (b'{"a" :1,"a"\n:2}', "duplicate-key"),
    "a duplicate key, written differently": (b'{"a":1,"\\u0061":2}', "duplicate-key"),
    "a duplicate key made up for by a colon in a string": (b'{"a" :1,"a":":"}', "duplicate-key"),
    "a duplicate key, deep": (b'[{"x":{"a":1,"b":[],"a":2}}]', "duplicate-key"),
    "a duplicate of an object": (b'{"a":{"b":1},"a":{"c":1}}', "duplicate-key"),
    "depth 33": (nested(33), "too-deep"),
    "depth 33 of objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "too-deep"),
    "depth 10,000": (nested(10_000), "too-deep"),
    "depth 10,000, unclosed": (b"[" * 10_000, "too-deep"),
    "too many bytes": (b" " * (MANY + 1), "too-long"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_one_meaning_is_refused_with_a_code(data, code):
    """Each kind of bad input has a typed reason, and the reason is all that comes back."""
    assert refusal(data) == code


ACCEPTED = [
    b"null",
    b" [] ",
    b"-0",
    b"1E-400",
    b"1e300",
    b"0.1234567890123456789012345",
    b"1e-0000000000000000000001",
    b"[9223372036854775807,-9223372036854775808]",
    b"[1e300,9223372036854775807]",
    b'"\\ud83d\\ude00"',
    b'"\\\\u0000"',
    b'{"":{"":1}}',
    b'{"a":":","b":"\\":","c":"\\\\"}',
    b'{"a":"x\\"b\\": 1","b":[{"a":1},{"a":2}]}',
    b'{"a" : "NaN 1e999 99999999999999999999"}',
    b'{"a":1e300,"b":"99999999999999999999"}',
    nested(32),
    '{"naïve":"Zoë 😀"}'.encode(),
]


@pytest.mark.parametrize("data", ACCEPTED)
def test_what_is_unambiguous_is_read_as_any_parser_reads_it(data):
    """Strict is not fussy: all that RFC 7493 allows comes through unchanged."""
    assert parse(data, MANY) == json.loads(data)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_every_value_that_a_strict_writer_writes_is_read_back(value, ascii_only, indent):
    """No false alarm, however the text is laid out or escaped."""
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(data, 10**7) == value


@given(json_values, json_values, st.text('ab:"\\ {}', max_size=5), st.sampled_from(["", " ", "\n\t"]))
def test_a_duplicate_key_is_found_wherever_it_is(first, second, key, space):
    """Whatever stands around it, even text that looks like a key."""
    quoted = json.dumps(key)
    text = f'{{{quoted}{space}:{json.dumps(first)},"other":1,{quoted}:{json.dumps(second)}}}'
    if key != "other":
        assert refusal(text.encode()) in {"duplicate-key", "number-out-of-range"}
        assert not names_each_key_once(text.encode(), colons(text.encode()))


def colons(data: bytes) -> int:
    """Return how many colons what comes out of a text has when it is written again."""
    return orjson.dumps(orjson.loads(data)).count(b":")


@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_the_cheap_look_for_a_duplicate_key_lets_nothing_through_that_parse_refuses(
    value, ascii_only, indent
):
    """It may send a good text to `parse`, because of an escape; plain ones pass."""
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert names_each_key_once(data, colons(data)) == (b"\\u003" not in data and b"\\u0000" not in data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a" :1,"a":":"}',
        b'{"a":"\\u003a","a":1}',
        b'{"a":1,"a":"\\u003A"}',
        b'{"a":1,"b":"\\u003a","b":":"}',
        b'{"a":"\\u0000"}',
    ],
)
def test_the_cheap_look_is_not_deceived_by_colons_in_strings(data):
    """A colon may be written as an escape, and so make up for the one of a key that was dropped."""
    assert not names_each_key_once(data, colons(data))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_the_standard_library_reads_them_or_refused(data):
    """No crash, no third outcome."""
    try:
        value = parse(data, 60)
    except ContractError:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize(
    "data", [b'"' + b'\\"' * 50_000, b'"\\' * 50_000, b"[" + b'"":' * 30_000, b"-" * MANY, b'{"a":' * 20_000]
)
def test_refusing_takes_time_in_proportion_to_the_length(data):
    """A hostile text costs the gateway no more than an honest one of its size: a quadratic reader takes minutes."""
    started = time.process_time()
    refusal(data[:MANY])
    assert time.process_time() - started < 10


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    sku: str
    quantity: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    number: str
    lines: list[Inner] | None = None
    by_name: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        ({}, "missing", "number"),
        ({"number": 5}, "string-type", "number"),
        ({"number": "1", CANARY: 1}, "extra-forbidden", "?"),
        ({"number": "1", "lines": [{"sku": "a", "quantity": CANARY}]}, "int-type", "lines.*.quantity"),
        ({"number": "1", "lines": [{"sku": "a", "quantity": 1, CANARY: 2}]}, "extra-forbidden", "lines.*.?"),
        ({"number": "1", "by_name": {CANARY: {"sku": "a"}}}, "missing", "by_name.?.quantity"),
        ([], "model-type", ""),
    ],
)  # fmt: skip
def test_a_broken_contract_is_told_by_code_and_declared_names_only(value, code, path):
    """A name that nobody declared may be a person's: it is told as a question mark."""
    with pytest.raises(ContractError) as caught:
        read(Outer, value)
    assert (caught.value.code, caught.value.path) == (code, path)
    assert caught.value.__context__ is None
    assert CANARY not in str(caught.value)


def test_a_violation_of_an_event_names_the_field_and_not_the_value():
    """The same for what the worker loop decodes."""
    with pytest.raises(ValidationError) as caught:
        OrderPlaced.model_validate_json(json.dumps({"order": CANARY}))
    assert violation(caught.value, OrderPlaced) == ("string-pattern-mismatch", "order")
    assert CANARY not in str(caught.value)
