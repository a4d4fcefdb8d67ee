"""The measure of the scrubber measures, and real searches and products pass the scrubber (C3)."""

import json
from pathlib import Path

import pytest

from tests.clicks.scrubbing import Tally, false_finds, harmless, labelled

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
