"""Any bytes are one JSON value or a refusal by code; what the edge takes, every other parser reads the same."""

import json

import orjson
import pytest
from hypothesis import given

from schemas.addresses import Recipient
from schemas.errors import ContractError
from schemas.strict_json import parse, read
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, says_nothing_of
from tests.unit.gateway_room import BASKET, RECIPIENT

MOST_BYTES = 256 * 1024
CODES = {
    "too-long", "byte-order-mark", "not-utf-8", "too-deep", "duplicate-key", "nul", "lone-surrogate",
    "control-character", "number-not-finite", "number-out-of-range", "not-json",
}  # fmt: skip
SEEDS = [
    json.dumps(RECIPIENT).encode(),
    json.dumps(BASKET, indent=1).encode(),
    *dict(corpus("json")).values(),
]


def check(data: bytes) -> None:
    try:
        value = parse(data, MOST_BYTES)
    except ContractError as refused:
        says_nothing_of(refused)
        assert refused.code in CODES and refused.path == ""
        return
    assert json.loads(data, object_pairs_hook=once) == value == orjson.loads(orjson.dumps(value))
    try:
        read(Recipient, value)
    except ContractError as refused:
        says_nothing_of(refused)
        assert CANARY not in refused.path


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len({name for name, _ in pairs}) == len(pairs), "a key twice, and taken"
    return dict(pairs)


@pytest.mark.parametrize(("name", "data"), corpus("json"))
def test_what_was_found_before_is_still_decided(name: str, data: bytes) -> None:
    check(data)


@given(data=damaged(SEEDS))
@examples(200)
def test_any_damage_is_read_in_one_way_or_refused(data: bytes) -> None:
    check(data)
