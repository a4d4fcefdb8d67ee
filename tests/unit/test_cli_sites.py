"""What an operator is told of a file that says what may be counted: the field and the rule, never what stands in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.exits import Ended, Exit
from services.cli.sites import read

GOOD = {"origins": ["https://shop.example"], "routes": ["/", "/p/{item}"], "search_parameter": "q"}


def file_of(tmp_path: Path, body: Any) -> Path:
    path = tmp_path / "site.json"
    path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return path


def test_a_file_need_not_say_the_shop_again(tmp_path: Path) -> None:
    assert read("bookshop", file_of(tmp_path, GOOD)) == read(
        "bookshop", file_of(tmp_path, {**GOOD, "storefront": "bookshop"})
    )


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{", "not-json", None),
        (b'{"origins": 1, "origins": 2}', "duplicate-key", None),
        ([], "storefront-differs", None),
        ({**GOOD, "storefront": "shoeshop"}, "storefront-differs", None),
        ({"origins": GOOD["origins"]}, "missing", "routes"),
        ({**GOOD, "origins": ["https://Quxolotl.example/path"]}, "string-pattern-mismatch", "origins.*"),
        ({**GOOD, "Quxolotl": 1}, "extra-forbidden", "?"),
        ({**GOOD, "products": "both"}, "literal-error", "products"),
        ({**GOOD, "products": "category"}, "value-error", ""),
        ({**GOOD, "interactions": ["purchase"]}, "value-error", ""),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(
    tmp_path: Path, body: Any, code: str, field: str | None
) -> None:
    with pytest.raises(Ended) as caught:
        read("bookshop", file_of(tmp_path, body))
    assert caught.value.exit_code is Exit.REFUSED
    assert (caught.value.fields["code"], caught.value.fields.get("field")) == (code, field)
    assert "Quxolotl" not in f"{caught.value.reason}{caught.value.fields}"


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(Ended) as caught:
        read("bookshop", tmp_path / "nothing.json")
    assert caught.value.exit_code is Exit.USAGE
