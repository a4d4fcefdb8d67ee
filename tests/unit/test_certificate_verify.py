"""`lethe verify`: offline, in words, 0 for a certificate that holds and 1 for one that does not."""

import json

import pytest
from typer.testing import CliRunner

from services.cli.app import build, main
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


@pytest.fixture
def folder(tmp_path):
    """Two certificates of one request, the second superseding the first, and the public keys beside them."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.fold(keys_destroyed(FIRST, 1, (held(1),)))
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner, retained=(held(1),)))
    ledger.fold(requested(2))
    issued = [each.certificate for each in ledger.certificates if each.request == FIRST]
    for name, signed in zip(("first.jws", "second.jws"), issued, strict=True):
        (tmp_path / name).write_text(signed + "\n")
    keys = [jwk_of(signer) for signer in (CERTIFIER, KEYRING_SIGNER)]
    (tmp_path / "keys.jwks").write_text(json.dumps({"keys": keys}))
    return tmp_path


def run(*arguments):
    """Run the verb; return exit code and what it said."""
    result = CliRunner().invoke(build(), ["verify", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_it_says_what_was_erased_what_is_kept_and_on_whose_word(folder):
    """The keys are found beside the file."""
    code, said = run(folder / "first.jws")
    assert code == 0
    assert said.startswith(f"VALID: certificate of request {FIRST}, round 1")
    assert "2 keys destroyed" in said and "on the word of the keyring" in said
    assert "transaction of 1 order, ground open-order, until the order closes" in said
    assert "orders: 1 row deleted" in said
    assert "Other subject ids that the same person has used" in said


def test_one_changed_byte_is_refused(folder):
    """Wherever it is."""
    file = folder / "first.jws"
    content = bytearray(file.read_bytes())
    for place in range(0, len(content) - 1, 97):
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        code, said = run(file)
        assert code == 1 and said.startswith("NOT VALID")


def test_several_certificates_are_checked_as_one_chain(folder):
    """In any order; a gap is a no."""
    assert "supersedes 1 earlier ones, all checked" in run(folder / "second.jws", folder / "first.jws")[1]
    assert "(not given)" in run(folder / "second.jws")[1]
    assert run(folder / "first.jws", folder / "first.jws")[0] == 1


def test_salt_and_subject_show_whose_certificate_it_is(folder):
    """Who holds the salt can tie it to a person; a wrong one is a no."""
    file = folder / "first.jws"
    assert "committed to this subject" in run(file, "--salt", SALT, "--subject", SUBJECT)[1]
    assert run(file, "--salt", SALT, "--subject", "6" * 32)[0] == 1


def test_json_says_the_same(folder):
    """For programs."""
    code, said = run(folder / "first.jws", "--json")
    assert code == 0 and json.loads(said)["certificate"]["request"] == FIRST
    (folder / "first.jws").write_text("nonsense")
    code, said = run(folder / "first.jws", "--json")
    assert code == 1 and json.loads(said) == {"valid": False, "reason": "form"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["missing.jws"], 4), (["first.jws", "--keys", "missing.jwks"], 4), (["first.jws", "--salt", "ab"], 2)],
)
def test_what_cannot_be_read_or_was_asked_wrongly_has_a_code_of_its_own(folder, arguments, code, monkeypatch):
    """A missing file is not a no."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main(["verify", *arguments])
    assert ended.value.code == code
