"""What a partner hands in to be registered, a key and an agreement: taken whole, or refused by code (D2)."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from joserfc.jwk import ECKey, OKPKey

from services.dispatch.agreements import read_agreement
from services.dispatch.partners import check_key, partner_key, seal_for
from services.kernel.errors import RejectedRecord
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, says_nothing_of

KEYS = [
    json.dumps(made.as_dict(private=private) | {"kid": CANARY, "use": "enc"}).encode()
    for made in (ECKey.generate_key("P-256"), OKPKey.generate_key("X25519"))
    for private in (True, False)
]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
AGREEMENT = json.dumps({
    "sha256": "ab" * 32, "fields": ["name", "city"], "scope": "shipments",
    "valid_from": NOW.isoformat(), "valid_to": NOW.replace(year=2027).isoformat(),
}).encode()  # fmt: skip
CODES = {"key-invalid", "key-private", "key-unsupported"}


def check_a_key(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        kept = check_key(text)
    except RejectedRecord as refused:
        says_nothing_of(refused)
        assert refused.code in CODES
        return
    members = json.loads(kept)
    assert members.keys() <= {"crv", "kty", "x", "y", "kid"}, "nothing else of what was handed in is kept"
    key, kid = partner_key(kept)
    assert seal_for(key, kid, b"{}").count(".") == 4
    assert check_key(kept) == kept


def check_an_agreement(data: bytes) -> None:
    try:
        agreement = read_agreement(data)
    except RejectedRecord as refused:
        says_nothing_of(refused)
        assert refused.code == "agreement-invalid"
        assert CANARY not in str(refused.fields)
        return
    assert agreement.valid_from < agreement.valid_to and agreement.fields


@pytest.mark.parametrize(("name", "data"), corpus("key"))
def test_keys_that_were_found_before_are_still_decided(name: str, data: bytes) -> None:
    check_a_key(data)


@pytest.mark.parametrize(("name", "data"), corpus("agreement"))
def test_agreements_that_were_found_before_are_still_decided(name: str, data: bytes) -> None:
    check_an_agreement(data)


@given(data=damaged([*KEYS, *dict(corpus("key")).values()]))
@examples(150)
def test_any_text_is_a_public_key_or_refused(data: bytes) -> None:
    check_a_key(data)


@given(data=damaged([AGREEMENT, *dict(corpus("agreement")).values()]))
@examples(100)
def test_any_text_is_an_agreement_or_refused(data: bytes) -> None:
    check_an_agreement(data)
