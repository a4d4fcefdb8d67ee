"""What a partner signed decides what it gets: fields, dates, scope, and a key that is what it says."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from shutil import which

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey

from schemas.addresses import Recipient
from services.dispatch.agreements import Agreement, in_force, read_agreement
from services.dispatch.partners import ALGORITHMS, check_key, partner_key, seal_for
from services.dispatch.projection import FIELDS, project
from services.kernel.errors import RejectedRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FILE = {
    "fields": ["name", "address_lines", "postal_code"],
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_to": "2027-01-01T00:00:00Z",
    "sha256": "ab" * 32,
    "scope": "shipments",
}
RECIPIENT = Recipient(
    name="Ada Example", address_lines=("1 Some Street",), city="Town", postal_code="AB1 2CD", country="GB",
    phone="+441234567890",
)  # fmt: skip


def agreement(start=-DAY, end=DAY, **more):
    return Agreement("ab" * 32, ("name",), NOON + start, NOON + end, **more)


def test_only_named_fields_that_exist_are_projected():
    assert project(RECIPIENT, ["postal_code", "name", "email", "no-such-field"]) == {
        "name": "Ada Example",
        "postal_code": "AB1 2CD",
    }
    assert project(RECIPIENT, []) == {}


def test_every_part_of_a_recipient_can_be_named_and_nothing_else():
    assert set(FIELDS) == set(Recipient.model_fields)
    assert set(project(RECIPIENT, FIELDS)) == {
        "name", "address_lines", "city", "postal_code", "country", "phone",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], "agreement-missing"),
        ([agreement(scope="settlements")], "agreement-missing"),
        ([agreement(DAY, 2 * DAY)], "agreement-not-yet-valid"),
        ([agreement(-2 * DAY, -DAY)], "agreement-ended"),
        ([agreement(end=timedelta(0))], "agreement-ended"),
        ([agreement(ended_at=NOON)], "agreement-ended"),
        ([agreement(DAY, 2 * DAY, ended_at=NOON)], "agreement-ended"),
        ([agreement(-2 * DAY, -DAY), agreement(DAY, 2 * DAY)], "agreement-not-yet-valid"),
        ([agreement(start=timedelta(0))], agreement(start=timedelta(0))),
        ([agreement(), agreement(end=2 * DAY)], agreement(end=2 * DAY)),
    ],
)
def test_an_agreement_is_in_force_from_its_first_to_before_its_last_moment(known, expected):
    assert in_force(known, NOON) == expected


def test_an_agreement_is_read_from_its_file():
    found = read_agreement(json.dumps(FILE).encode())
    assert found == Agreement(
        "ab" * 32,
        ("name", "address_lines", "postal_code"),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"fields": []},
        {"fields": ["name", "basket"]},
        {"fields": ["name", "name"]},
        {"valid_to": "2026-01-01T00:00:00Z"},
        {"valid_from": "2026-01-01T00:00:00"},
        {"sha256": "AB" * 32},
        {"sha256": "ab" * 31},
        {"scope": "settlements"},
        {"more": 1},
        {"scope": None},
    ],
)
def test_an_agreement_that_says_something_else_is_refused(change):
    with pytest.raises(RejectedRecord) as refused:
        read_agreement(json.dumps(FILE | change).encode())
    assert refused.value.code == "agreement-invalid"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"scope":"shipments","scope":"shipments"}'])
def test_a_file_that_is_no_agreement_is_refused(text):
    with pytest.raises(RejectedRecord):
        read_agreement(text)


KEYS = {"P-256": ECKey.generate_key("P-256"), "X25519": OKPKey.generate_key("X25519")}


@pytest.mark.parametrize("curve", KEYS)
def test_a_public_key_is_kept_bare_and_opens_what_is_sealed_for_it(curve):
    private = KEYS[curve]
    public = {
        **private.as_dict(private=False),
        "use": "enc",
        "key_ops": ["deriveKey"],
        "x5u": "https://example.org",
    }
    kept = json.loads(check_key(json.dumps(public)))
    assert kept.keys() == {"kty", "crv", "x", "kid"} | ({"y"} if curve == "P-256" else set())
    assert kept["kid"] == private.thumbprint()
    token = seal_for(*partner_key(json.dumps(kept)), b'{"name":"Ada"}')
    opened = jwe.decrypt_compact(token, private, algorithms=ALGORITHMS)
    assert (opened.plaintext, opened.protected["kid"]) == (b'{"name":"Ada"}', kept["kid"])
    assert opened.protected.keys() == {"alg", "enc", "kid", "epk"}


def test_a_partners_own_key_id_is_kept_if_it_is_plain():
    public = KEYS["P-256"].as_dict(private=False)
    assert json.loads(check_key(json.dumps({**public, "kid": "depot-7"})))["kid"] == "depot-7"
    thumbprint = KEYS["P-256"].thumbprint()
    for odd in ("a\nb", "é", "", "x" * 101, 7):
        assert json.loads(check_key(json.dumps({**public, "kid": odd})))["kid"] == thumbprint


P256, X25519 = (KEYS[curve].as_dict(private=False) for curve in KEYS)
ZERO = "A" * 43


@pytest.mark.parametrize(
    ("code", "jwk"),
    [
        ("key-private", KEYS["P-256"].as_dict(private=True)),
        ("key-private", KEYS["X25519"].as_dict(private=True)),
        ("key-private", {"kty": "oct", "k": ZERO}),
        ("key-invalid", {**P256, "x": ZERO}),
        ("key-invalid", {**P256, "y": P256["x"]}),
        ("key-invalid", {**P256, "x": "A"}),
        ("key-invalid", {**P256, "x": 7}),
        ("key-invalid", {name: value for name, value in P256.items() if name != "y"}),
        ("key-invalid", {**X25519, "x": ZERO}),
        ("key-invalid", {**X25519, "x": "AQ" + "A" * 41}),
        ("key-invalid", {**X25519, "x": "AAAA"}),
        ("key-invalid", {}.fromkeys(("kty",), "EC") | {"crv": "P-256"}),
        ("key-unsupported", {**P256, "crv": "P-384"}),
        ("key-unsupported", {**P256, "crv": "secp256k1"}),
        ("key-unsupported", {**X25519, "crv": "Ed25519"}),
        ("key-unsupported", {**P256, "kty": "OKP"}),
        ("key-unsupported", {**P256, "use": "sig"}),
        ("key-unsupported", {**P256, "alg": "ES256"}),
        ("key-unsupported", {"kty": "RSA", "n": ZERO, "e": "AQAB"}),
        ("key-unsupported", {"keys": [P256]}),
    ],
)
def test_a_key_that_is_not_what_it_says_is_refused(code, jwk):
    with pytest.raises(RejectedRecord) as refused:
        check_key(json.dumps(jwk))
    assert refused.value.code == code
    assert not refused.value.fields


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "{", '{"kty":"EC","kty":"EC"}', '"' + "x" * 5_000 + '"', "\ud800"]
)
def test_what_is_no_key_at_all_is_refused(text):
    with pytest.raises(RejectedRecord) as refused:
        check_key(text)
    assert refused.value.code == "key-invalid"


@pytest.mark.skipif(which("jose") is None, reason="Debian's `jose` is not installed")
def test_a_foreign_jose_tool_opens_a_label(tmp_path):
    """A carrier with nothing of ours reads its label (D2)."""
    private, public = tmp_path / "private.jwk", tmp_path / "public.jwk"
    subprocess.run(["jose", "jwk", "gen", "-i", '{"kty":"EC","crv":"P-256"}', "-o", private], check=True)
    subprocess.run(["jose", "jwk", "pub", "-i", private, "-o", public], check=True)
    kept = check_key(public.read_text())
    token = seal_for(*partner_key(kept), b'{"name":"Ada"}   ')
    opened = subprocess.run(
        ["jose", "jwe", "dec", "-i-", "-k", private, "-O-"],
        input=token.encode(),
        capture_output=True,
        check=True,
    )
    assert json.loads(opened.stdout) == {"name": "Ada"}
