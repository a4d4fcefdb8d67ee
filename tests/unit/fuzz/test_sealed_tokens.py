"""Any text where a sealed value belongs: it opens, or it is refused in the same words as every other (T1)."""

import json

import pytest
from hypothesis import given
from pydantic import ValidationError

from schemas.errors import ContractError
from schemas.privacy import Category, Sealed
from schemas.shipments import ShipmentRequested
from schemas.strict_json import violation
from services.kernel.clock import SystemClock
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.jwe import kid_of, seal, unseal
from services.kernel.sealing.keys import DataKey, KeyRef, encoded
from services.kernel.sealing.lease import Lease, Opened, Want, kids_of
from services.kernel.sealing.place import place
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, says_nothing_of

ORDER, SUBJECT = "a" * 32, "5" * 32
KEY, REF = DataKey(b"k" * 32), KeyRef("5" * 32, Category.LOGISTICS, "a" * 32)
WHERE = place("orders", ORDER, "ship_to")
PLAIN = json.dumps({"name": CANARY}).encode()
WHOLE = seal(KEY, WHERE, PLAIN)
HEADERS = (
    {"alg": "dir", "enc": "A256GCM", "kid": KEY.kid, "place": str(WHERE), "zip": "DEF"},
    {"alg": "dir", "enc": "A256GCM", "kid": [CANARY], "place": str(WHERE)},
    {"alg": "none", "kid": CANARY},
    [CANARY],
    CANARY,
)
SEEDS = [
    WHOLE.encode(),
    seal(DataKey(b"o" * 32), WHERE, PLAIN).encode(),
    *(f"{encoded(json.dumps(head).encode())}.{WHOLE.partition('.')[2]}".encode() for head in HEADERS),
    *dict(corpus("sealed")).values(),
]


def check(data: bytes) -> None:
    token = data.decode("utf-8", "surrogateescape")
    want = Want(token, WHERE, REF)
    for attempt in (lambda: unseal(token, KEY, WHERE), lambda: opened(want), lambda: kid_of(token)):
        try:
            answer = attempt()
        except RejectedRecord as refused:
            says_nothing_of(refused)
            assert (refused.code, refused.fields) == ("unsealing-failed", {})
        else:
            assert answer in (PLAIN, KEY.kid) or answer == kid_of(token)
            assert answer != PLAIN or token == WHOLE or kid_of(token) == KEY.kid
    for look in (lambda: Sealed(token).kid, lambda: Sealed(token).header):
        try:
            look()
        except ContractError as refused:
            says_nothing_of(refused)
    assert CANARY not in repr(Sealed(token))
    event = {"order": ORDER, "carrier": "swift", "service": "standard", "ship_to": token}
    try:
        ShipmentRequested.model_validate_json(json.dumps(event))
    except ValidationError as refused:
        assert CANARY not in f"{refused}{violation(refused, ShipmentRequested)}"


def opened(want: Want) -> object:
    lease = Lease(dict.fromkeys([*kids_of([want]), KEY.kid], Opened(KEY, REF)), SystemClock(), 10.0**12, 10)
    return lease.unseal(want)


@pytest.mark.parametrize(("name", "data"), corpus("sealed"))
def test_what_was_found_before_is_still_decided(name: str, data: bytes) -> None:
    check(data)


@given(data=damaged(SEEDS))
@examples(200)
def test_any_text_opens_or_is_refused_in_the_same_words(data: bytes) -> None:
    check(data)
