"""The verbs of partners refuse what is not what it should be, before anything is changed."""

import json

import pytest
from joserfc.jwk import ECKey

from services.cli.app import main
from services.cli.partners import COLUMNS, _rows

KEY = ECKey.generate_key("P-256")
PUBLIC = KEY.as_dict(private=False)
AGREEMENT = {
    "fields": ["name"],
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_to": "2027-01-01T00:00:00Z",
    "sha256": "ab" * 32,
    "scope": "shipments",
}


@pytest.fixture
def add(tmp_path, capsys):
    """Return how `partners add` ends and what it says, for a key and an agreement."""

    def run(key, agreement, name="swift"):
        for file, content in (("key.jwk", key), ("agreement.json", agreement)):
            (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))
        files = ["--key", str(tmp_path / "key.jwk"), "--agreement", str(tmp_path / "agreement.json")]
        with pytest.raises(SystemExit) as ended:
            main(["partners", "add", name, *files, "--state", str(tmp_path / "nowhere"), "--json"])
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (KEY.as_dict(private=True), "key-private"),
        ({**PUBLIC, "y": PUBLIC["x"]}, "key-invalid"),
        ({**PUBLIC, "crv": "P-521"}, "key-unsupported"),
        ("no key at all", "key-invalid"),
    ],
)
def test_a_bad_key_is_refused_and_never_shown(add, key, code):
    exit_code, said = add(key, AGREEMENT)
    assert (exit_code, json.loads(said)["code"]) == (3, code)
    assert PUBLIC["x"] not in said
    assert KEY.as_dict(private=True)["d"] not in said


def test_a_bad_agreement_is_refused_with_the_name_of_the_field(add):
    exit_code, said = add(PUBLIC, AGREEMENT | {"sha256": "not hexadecimal"})
    answer = json.loads(said)
    assert (exit_code, answer["code"], answer["field_path"]) == (3, "agreement-invalid", "sha256")
    assert "not hexadecimal" not in said


def test_a_partner_id_has_one_form(add):
    for name in ("Swift", "s", "swift.post", "x" * 32, "../swift"):
        assert add(PUBLIC, AGREEMENT, name)[0] == 2


def test_without_a_platform_the_verb_says_so(add):
    assert add(PUBLIC, AGREEMENT)[0] == 4


def test_an_unknown_carrier_with_held_parcels_has_a_line_of_its_own():
    ((name, held, *_, why),) = _rows(
        {"partner_id": "unheard", "held": 3, "code": "partner-unknown", "agreements": []}
    )
    assert (name, held, why, len(COLUMNS)) == ("unheard", 3, "partner-unknown", 6)
