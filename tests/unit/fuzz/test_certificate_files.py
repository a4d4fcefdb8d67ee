"""Any file that is said to be a certificate, or a set of keys: it holds, or the verifier says why not (R3)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from typer.testing import CliRunner

from services.cli.app import build
from services.erasure.signing import NotSigned, key_set
from services.erasure.verification import in_order, read_certificate, verify
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, says_nothing_of
from tests.unit.test_certificate import CERTIFIER, KEYRING_SIGNER, KEYS, PAIRS, issued, jwk_of, signed_again

WHOLE = issued(*PAIRS)
SET = json.dumps({"keys": [jwk_of(CERTIFIER), jwk_of(KEYRING_SIGNER, note=CANARY)]}).encode()
SIGNED_NONSENSE = [
    CERTIFIER.sign(payload, "lethe-certificate+jwt").encode()
    for payload in (b"", b"null", b"[" * 5_000, b'{"request":"Quxolotl"}', b"\xff", b'{"a":1,"a":2}')
]
SEEDS = [
    WHOLE.encode(),
    signed_again(lambda said: said.update(request=CANARY)).encode(),
    signed_again(lambda said: said["keyring"].update(statement=CANARY)).encode(),
    *SIGNED_NONSENSE,
    *dict(corpus("certificate")).values(),
]


def check(data: bytes) -> None:
    text = data.decode("ascii", "surrogateescape")
    for attempt in (lambda: verify(text, KEYS), lambda: read_certificate(text)):
        try:
            attempt()
        except NotSigned as refused:
            says_nothing_of(refused)
            assert refused.code.replace("-", "").isalpha()
    try:
        assert in_order([verify(text, KEYS)])[0].signed == WHOLE
    except NotSigned:
        assert text != WHOLE


def check_a_set(data: bytes) -> None:
    try:
        keys = key_set(data)
    except NotSigned as refused:
        says_nothing_of(refused)
        assert refused.code == "keys"
        return
    assert all(name == key.kid and len(name) == 43 for name, key in keys.items())


@pytest.mark.parametrize(("name", "data"), corpus("certificate"))
def test_certificates_that_were_found_before_are_still_decided(
    name: str, data: bytes, tmp_path: Path
) -> None:
    """By the functions, and by the command: in words and never by a traceback."""
    check(data)
    (tmp_path / "keys.jwks").write_bytes(SET)
    (tmp_path / "one.jws").write_bytes(data)
    ended = CliRunner().invoke(build(), ["verify", str(tmp_path / "one.jws")])
    assert ended.exit_code == 1 and ended.stdout.startswith("NOT VALID: ")
    assert CANARY not in ended.output and isinstance(ended.exception, SystemExit)


@pytest.mark.parametrize(("name", "data"), corpus("jwks"))
def test_sets_that_were_found_before_are_still_decided(name: str, data: bytes, tmp_path: Path) -> None:
    check_a_set(data)
    (tmp_path / "keys.jwks").write_bytes(data)
    (tmp_path / "one.jws").write_text(WHOLE)
    ended = CliRunner().invoke(build(), ["verify", str(tmp_path / "one.jws")])
    assert ended.exit_code == 1 and CANARY not in ended.output and isinstance(ended.exception, SystemExit)


@given(data=damaged(SEEDS))
@examples(150)
def test_any_text_is_a_certificate_or_refused(data: bytes) -> None:
    check(data)


@given(data=damaged([SET, *dict(corpus("jwks")).values()]))
@examples(150)
def test_any_document_is_a_set_of_keys_or_refused(data: bytes) -> None:
    check_a_set(data)
