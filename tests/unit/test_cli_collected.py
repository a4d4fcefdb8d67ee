"""`lethe show clickstream`: what it says is collected, and not, is what contracts, door and settings do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.layout import Identity, Layout
from schemas.clicks import LEAST_CROWD, Cell, CellsSeen, Kind
from schemas.scrubbed import Scrubbed
from services.cli.app import build
from services.cli.collected import meanings, statement
from services.gateway.clicks.adapters import ga4
from services.gateway.clicks.head import read_head
from services.gateway.clicks.scrubbing import kind_found
from services.gateway.clicks.vocabulary import Drop

FOUND = {
    "e-mail": "ann@example.com",
    "link": "www.example.com/ann",
    "network address": "192.0.2.17",
    "iban": "de89370400440532013000",
    "card": "4111 1111 1111 1111",
    "national id": "ab 12 34 56 c",
    "phone": "+33 1 23 45 67 89",
    "number": "123456789012345678901234567890",
}


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(build(), ["show", "clickstream", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_kind_is_said_with_what_it_means(tmp_path: Path) -> None:
    """A kind without words would be collected without anybody being told (C3)."""
    assert meanings(Kind).keys() == set(Kind)
    told = json.loads(shown("--json", "--state", str(tmp_path)))["collects"]["counted"]
    assert {each["kind"] for each in told} == set(Kind) and all(each["what"] for each in told)


def test_every_field_that_travels_is_said_with_the_reason_why_that_is_harmless() -> None:
    told = {each["field"]: each["why"] for each in statement({})["travels"]}
    assert told.keys() == CellsSeen.model_fields.keys() | Cell.model_fields.keys()
    assert all(told.values())


def test_it_speaks_of_the_platform_that_is_there(tmp_path: Path) -> None:
    """Its crowd, and which kinds are counted by the hour, as the operator has set them."""
    layout = Layout.at(tmp_path)
    layout.create()
    settings = {"clickstream": {"crowd": "25"}, "gateway": {"crowd": "25", "hourly": '["search"]'}}
    Identity("p", settings=settings).save(layout)
    told = json.loads(shown("--json", "--state", str(tmp_path)))["collects"]
    assert told["crowd"] == 25 and told["least_crowd"] == LEAST_CROWD
    assert {each["kind"]: each["by"] for each in told["counted"]} == {
        kind.value: "hour" if kind is Kind.SEARCH else "day" for kind in Kind
    }
    assert "25 visitors or more" in shown("--state", str(tmp_path))


@pytest.mark.parametrize("kind", Scrubbed)
def test_what_is_said_to_be_scrubbed_is_found(kind: Scrubbed) -> None:
    assert kind_found(FOUND[kind]) == kind
    assert kind in statement({})["scrubbed_from_searches"]


@pytest.mark.parametrize("header", [b"sec-gpc", b"dnt"])
def test_the_headers_that_are_said_to_refuse_do(header: bytes) -> None:
    """R4: the door's own reading of a request's head."""
    said = " ".join(statement({})["refusals"]).lower()
    assert f"`{header.decode()}: 1`" in said
    assert read_head([(header, b"1")]).refused and not read_head([(header, b"0")]).refused


def test_every_name_that_is_said_to_be_refused_is_refused() -> None:
    """Checkouts, contacts and orders, each under its reason; fields of identity are counted and not read."""
    told = statement({})
    assert set(told["refused_by_name"]) == {Drop.CHECKOUT, Drop.CONTACT, Drop.ORDER}
    for why, names in told["refused_by_name"].items():
        for name in names:
            reading = ga4.read({"event": name, **dict.fromkeys(told["dropped_fields"], "somebody")})
            assert not reading.events and reading.dropped == {why: 1}
    reading = ga4.read({"event": "page_view", **dict.fromkeys(told["dropped_fields"], "somebody")})
    assert set(reading.identity) == set(told["dropped_fields"])
    assert "somebody" not in str([tuple(getattr(e, f) for f in e.__slots__) for e in reading.events])


def test_other_workers_are_shown_as_before(tmp_path: Path) -> None:
    done = CliRunner().invoke(build(), ["show", "orders", "--json", "--state", str(tmp_path)])
    assert "collects" not in json.loads(done.output)
