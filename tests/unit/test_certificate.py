"""A certificate: what it says, that nothing of it can be changed, and that others can check it too."""

import json
import warnings

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto import jwk, jws

from schemas.holds import Ground
from schemas.privacy import Category
from schemas.statements import KeyringStatement, commitment_of, digest_of
from services.erasure.certificate import SCHEMA, Certificate, published_schema
from services.erasure.certifying import fingerprint
from services.erasure.signing import NotSigned, PublicKey, Signer, decoded, encoded, key_set, taken_apart
from services.erasure.verification import committed_to, in_order, read_certificate, verify
from services.kernel.errors import ConfigurationError
from services.kernel.worker.outgoing import MOST_BYTES
from tests.fixtures.erasures import (
    CERTIFIER,
    KEYRING_SIGNER,
    RULES,
    SALT,
    SUBJECT,
    Ledger,
    held,
    jwk_of,
    keys_destroyed,
    receipt,
    requested,
)

FIRST = requested().request
PAIRS = (held(3, Category.ACCOUNTING, Ground.STATUTORY), held(1), held(2))


def keys_of(*jwks: dict[str, str]) -> dict[str, PublicKey]:
    """Return the key set of a JWKS document."""
    return key_set(json.dumps({"keys": list(jwks)}).encode())


KEYS = keys_of(jwk_of(CERTIFIER), jwk_of(KEYRING_SIGNER))


def issued(*pairs) -> str:
    """Return a certificate of one round, out of the whole decision."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.fold(keys_destroyed(FIRST, 1, pairs))
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner, retained=pairs))
    return ledger.certificates[-1].certificate


def signed_again(change, signer: Signer = CERTIFIER, typ: str = Certificate.typ) -> str:
    """Return a certificate whose contents were changed and signed anew, as a forger inside could."""
    payload = json.loads(taken_apart(issued(*PAIRS)).payload)
    change(payload)
    return signer.sign(json.dumps(payload).encode(), typ)


def test_a_certificate_is_valid_and_says_what_is_kept():
    """Grouped by ground, category and date."""
    verified = verify(issued(*PAIRS), KEYS)
    kept = [
        (part.ground.value, part.category.value, len(part.scopes)) for part in verified.certificate.retained
    ]
    assert kept == [("open-order", "transaction", 2), ("statutory", "accounting", 1)]
    assert verified.statement.held == PAIRS


def test_the_same_contents_always_give_the_same_certificate():
    """Ed25519 is deterministic, so deciding a batch again changes nothing."""
    contents = read_certificate(issued())
    again = [CERTIFIER.sign(contents.model_dump_json().encode(), Certificate.typ) for _ in range(2)]
    assert again[0] == again[1]


def test_no_character_of_a_certificate_can_change():
    """One changed character, anywhere, and it is refused."""
    signed = issued(held(1))
    for place in range(len(signed)):
        other = "B" if signed[place] == "A" else "A"
        with pytest.raises(NotSigned):
            verify(signed[:place] + other + signed[place + 1 :], KEYS)


def test_the_last_character_is_not_spare():
    """Base64 has bits that no byte uses: a text that differs only there is refused too."""
    signed = issued()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signed[-1])
    with pytest.raises(NotSigned, match="form"):
        verify(signed[:-1] + alphabet[last ^ 1], KEYS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: c["keyring"].update(destroyed=99), "statement-differs-destroyed"),
        (lambda c: c.update(retained=[]), "statement-differs-retained"),
        (lambda c: c["times"].update(destroyed_at="2020-01-01T00:00:00Z"), "statement-differs-destroyed-at"),
        (
            lambda c: c["times"].update(unreadable_at="2020-01-01T00:00:00Z"),
            "statement-differs-unreadable-at",
        ),
        (lambda c: c.update(request="e" * 32), "statement-differs-request"),
        (lambda c: c.update(round=7), "statement-differs-round"),
        (
            lambda c: c["keyring"].update(keks_pending=[{"category": "identity", "version": 1}]),
            "keks-pending",
        ),
        (lambda c: c["owners"].pop(), "owner-missing"),
        (lambda c: c.update(extra=1), "schema"),
        (lambda c: c.pop("does_not_cover"), "schema"),
        (lambda c: c.update(format="lethe-certificate/2"), "schema"),
    ],
)
def test_a_claim_that_the_keyrings_statement_contradicts_is_refused(change, code):
    """Even with a right signature: the keyring speaks for itself."""
    with pytest.raises(NotSigned, match=code):
        verify(signed_again(change), KEYS)


def test_a_certificate_of_the_wrong_key_is_refused():
    """Unknown keys, the keyring's key in place of the certifier's, and one key for both."""
    with pytest.raises(NotSigned, match="key-unknown"):
        verify(issued(), keys_of(jwk_of(KEYRING_SIGNER)))
    with pytest.raises(NotSigned, match="statement-key-unknown"):
        verify(issued(), keys_of(jwk_of(CERTIFIER)))
    with pytest.raises(NotSigned, match="statement-same-key"):
        verify(signed_again(lambda c: None, KEYRING_SIGNER), KEYS)
    named = keys_of(jwk_of(CERTIFIER, principal="keyring"), jwk_of(KEYRING_SIGNER, principal="keyring"))
    with pytest.raises(NotSigned, match="key-of-another"):
        verify(issued(), named)


def test_a_statement_cannot_pass_for_a_certificate():
    """The type is part of what is signed."""
    with pytest.raises(NotSigned, match="type"):
        verify(read_certificate(issued()).keyring.statement, KEYS)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": CERTIFIER.kid, "typ": Certificate.typ},
        {"alg": "HS256", "kid": CERTIFIER.kid, "typ": Certificate.typ},
        {"alg": "EdDSA", "kid": CERTIFIER.kid, "typ": Certificate.typ, "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "kid": CERTIFIER.kid, "typ": Certificate.typ, "jwk": jwk_of(CERTIFIER)},
        {"alg": "EdDSA", "kid": [CERTIFIER.kid], "typ": Certificate.typ},
        ["alg"],
    ],
)
def test_only_one_form_of_header_is_taken(header):
    """No algorithm but ours, nothing that brings its own key, no extension."""
    head = encoded(json.dumps(header).encode())
    _, _, rest = issued().partition(".")
    with pytest.raises(NotSigned, match="header"):
        verify(f"{head}.{rest}", KEYS)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "e30.e30.e30", "\ud800.a.b", "a" * 100, "🙂.🙂.🙂"])
def test_what_is_no_certificate_is_refused_and_nothing_else_happens(text):
    """Any text may be handed in."""
    with pytest.raises(NotSigned):
        verify(text, KEYS)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b"\xff"])
def test_what_is_no_key_set_is_refused(document):
    """With a code, not with a traceback."""
    with pytest.raises(NotSigned, match="keys"):
        key_set(document)


@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
def test_a_header_that_says_a_thing_twice_is_refused(member):
    """Two readers would see two algorithms, keys or types; ours takes neither."""
    header = {"alg": "EdDSA", "kid": CERTIFIER.kid, "typ": Certificate.typ}
    twice = f'{{"{member}":"another",{json.dumps(header)[1:]}'
    _, payload, signature = issued().split(".")
    with pytest.raises(NotSigned, match="form"):
        taken_apart(f"{encoded(twice.encode())}.{payload}.{signature}")


def test_a_key_cannot_carry_another_ones_name():
    """The id of a key is computed from the key."""
    lying = jwk_of(KEYRING_SIGNER) | {"kid": CERTIFIER.kid}
    with pytest.raises(NotSigned, match="keys"):
        keys_of(lying)


def test_only_who_holds_the_salt_can_tie_it_to_a_subject():
    """The commitment says nothing to anybody else; joined requests have one of their own."""
    certificate = read_certificate(issued())
    assert committed_to(certificate, SALT, SUBJECT)
    assert not committed_to(certificate, "00" * 32, SUBJECT)
    assert not committed_to(certificate, SALT, "6" * 32)
    assert SUBJECT not in taken_apart(issued()).payload.decode()
    # The form that anybody can compute: printf '%s' "$salt.$subject" | sha256sum.
    assert commitment_of("ab", "cd") == "YQdGMP83TO7lACPkP_YT__lIFTa_bgec_U6TYoo13Uo"


def test_foreign_libraries_agree_that_it_is_signed():
    """joserfc and jwcrypto verify what we sign, and sign what we verify."""
    from joserfc import jws as foreign
    from joserfc.jwk import OKPKey

    signed, public = issued(), jwk_of(CERTIFIER)
    token = jws.JWS()
    token.allowed_algs = ["EdDSA"]
    token.deserialize(signed, jwk.JWK(**{name: public[name] for name in ("kty", "crv", "x")}))
    assert token.payload == taken_apart(signed).payload
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = OKPKey.import_key({name: public[name] for name in ("kty", "crv", "x")})
        assert key.thumbprint() == CERTIFIER.kid
        assert foreign.deserialize_compact(signed, key, algorithms=["EdDSA"]).payload == token.payload
        private = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(b"c" * 32))
        header = {"alg": "EdDSA", "kid": CERTIFIER.kid, "typ": Certificate.typ}
        again = foreign.serialize_compact(header, token.payload, private, algorithms=["EdDSA"])
    assert again == signed


def test_every_certificate_keeps_the_published_schema():
    """Anybody can check the form without our code."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    payload = json.loads(taken_apart(issued(*PAIRS)).payload)
    validator.validate(payload)
    payload["subject"] = SUBJECT
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(payload)


def test_the_published_schema_is_the_current_one_and_describes_every_field():
    """Drift fails; a field without a word of explanation fails too."""
    assert json.loads(SCHEMA.read_text()) == published_schema()
    for part in (published_schema(), *published_schema()["$defs"].values()):
        if part.get("title") in {"Held", "PendingKek"}:
            continue
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), f"{part['title']}.{name}"


def test_superseding_certificates_form_one_chain():
    """Each holds the hash of the one before, whatever order they are given in."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.fold(keys_destroyed(FIRST, 1))
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner))
    ledger.fold(requested(2))
    ledger.fold(requested(3))
    issued = [each.certificate for each in ledger.certificates if each.request == FIRST]
    first, second, third = (verify(each, KEYS) for each in issued)
    assert in_order([third, first, second]) == [first, second, third]
    assert in_order([third, second]) == [second, third]
    with pytest.raises(NotSigned, match="chain-broken"):
        in_order([first, third])
    assert second.certificate.supersedes == fingerprint(first.signed)


def test_a_signing_key_of_another_kind_is_refused_at_the_start():
    """Fail closed, with a code and without the key."""
    for pem in ("", "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ConfigurationError, match="signing-key"):
            Signer.from_pem(pem)
    assert repr(CERTIFIER) == f"Signer({CERTIFIER.kid})"


def test_the_digest_of_key_ids_depends_on_the_set_alone():
    """Sorted, joined by newlines."""
    assert digest_of(["b", "a"]) == digest_of(["a", "b"]) != digest_of(["ab"])
    assert decoded(digest_of([])).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_statement_names_no_subject():
    """It travels on a certificate that anybody may be shown."""
    assert not {"subject", "storefront"} & set(KeyringStatement.model_fields)


def test_a_person_with_thousands_of_invoices_gets_a_certificate_too():
    """Large customers are people too: everything still fits into one record."""
    many = tuple(held(number, Category.ACCOUNTING, Ground.STATUTORY) for number in range(2_500))
    signed = issued(*many)
    assert len(verify(signed, KEYS).statement.held) == 2_500
    assert len(signed) < MOST_BYTES
