"""The measure of the scrubber measures, and real searches and products pass the scrubber (C3)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.scrubbed import Scrubbed
from services.gateway.clicks import scrubbing
from services.gateway.clicks.scrubbing import is_personal, kind_found
from services.gateway.clicks.site import ITEM_FORM
from tests.clicks.scrubbing import Tally, false_finds, harmless, labelled
from tests.unit.examples import examples

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_the_measure_tells_found_from_missed_and_from_found_beside(tmp_path: Path) -> None:
    """Or its hundred per cent would say nothing."""
    text = "Call Jane at 0151 234 56789, not  4111 1111 1111 1111."
    spans = [
        {"entity_type": "PHONE_NUMBER", "start_position": 13, "end_position": 27},
        {"entity_type": "PERSON", "start_position": 5, "end_position": 9},
    ]
    assert [text[span["start_position"] : span["end_position"]] for span in spans] == [
        "0151 234 56789",
        "Jane",
    ]
    file = tmp_path / "texts.json"
    file.write_text(json.dumps([{"full_text": text, "spans": spans}]))
    tally = Tally()
    for each in labelled(file):
        tally.add(*each)
    assert tally.labelled == {"PERSON": 1, "PHONE_NUMBER": 1}
    assert tally.found["PHONE_NUMBER"] == tally.alone["PHONE_NUMBER"] == 1
    assert tally.found["PERSON"] == tally.alone["PERSON"] == 0
    assert set(tally.beside) >= {"card"}
    assert any("PERSON" in line and "0.0%" in line for line in tally.lines())


@pytest.mark.parametrize(
    ("names", "most"), [("search/queries.tsv", 0.005), ("retail/*.csv.gz", 0.0)], ids=["searches", "products"]
)
def test_real_searches_and_products_pass(names: str, most: float) -> None:
    """Of 480 searches one is lost: it holds an article's number of nine digits."""
    files = sorted(DATA.glob(names))
    if not files:
        pytest.skip(f"needs {names} in ../shared/data")
    texts = [text for file in files for text in harmless(file)]
    assert len(texts) >= 480
    assert len(false_finds(texts)) <= most * len(texts)


@pytest.mark.parametrize(
    "written",
    ["536-90-4399", "rssmra85t10a562s", "boxw310820hnerxn09", "6433435f", "1234567fa", "x2482300w", "54362315k",
     "131052-308t", "010101a123n", "acupa7085r", "234123412346", "295109912611193", "880320-0016", "8803200016",
     "01013099997", "770305-02-1234"],
)  # fmt: skip
def test_a_national_number_is_found_by_its_form(written: str) -> None:
    """The forms that are looked at first leave out no number that python-stdnum knows."""
    assert is_personal(written)
    assert any(is_valid(written) for is_valid in scrubbing._NATIONAL) == scrubbing._is_national(written)


@pytest.mark.parametrize(
    "written",
    ["de89 3704 0044 0532 0130 00", "gb82west12345698765432 thanks", "mt84malt011000012345mtlcast001s"],
)
def test_an_iban_is_found_with_what_follows_it(written: str) -> None:
    assert kind_found(written) is Scrubbed.IBAN
    assert kind_found(written.replace("8", "7", 1)) is not Scrubbed.IBAN


@given(st.from_regex(ITEM_FORM, fullmatch=True))
@examples(300)
def test_the_short_way_to_tell_a_number_finds_what_the_long_one_does(item: str) -> None:
    text = item.lower()
    assert is_personal(text) == (kind_found(text) is not None)
