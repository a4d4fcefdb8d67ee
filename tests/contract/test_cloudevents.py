"""The executable conformance scenarios of the CloudEvents Kafka binding, run against our envelope.

They are read from the feature file that the CloudEvents project publishes, beside this repository. Binary mode
must pass as written; structured mode is refused on purpose, because an envelope inside the value would hide the
subject and the type from suppression and from every filter on headers.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schemas.envelope import Envelope, EnvelopeError, read_envelope
from schemas.strict_json import parse

FEATURE = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "cloudevents" / "kafka-protocol-binding.feature"
)
pytestmark = pytest.mark.skipif(
    not FEATURE.exists(), reason="the CloudEvents conformance feature is not beside us"
)


@dataclass
class Scenario:
    """One scenario: what is given, and what must be seen."""

    name: str
    payload: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    data: str = ""


def scenarios(feature: str) -> list[Scenario]:
    """Return every scenario of a Gherkin file, outlines with their examples filled in."""
    found: list[Scenario] = []
    for block in re.split(r"^\s*Scenario(?: Outline)?: ", feature, flags=re.MULTILINE)[1:]:
        body, _, examples = block.partition("Examples:")
        for values in table(examples) or [{}]:
            text = body
            for name, value in values.items():
                text = text.replace(f"<{name}>", value)
            found.append(scenario(text))
    return found


def scenario(text: str) -> Scenario:
    """Return one scenario from its steps."""
    read = Scenario(text.splitlines()[0].strip())
    for step in re.split(r"^\s*(?:Given|And|When|Then) ", text, flags=re.MULTILINE)[1:]:
        title = step.splitlines()[0]
        quoted = step.partition('"""')[2].partition('"""')[0]
        pairs = {row["key"]: row["value"] for row in table(step)}
        if "with payload" in title:
            read.payload = quoted
        elif "headers" in title:
            read.headers = pairs
        elif "attributes are" in title:
            read.attributes = pairs
        elif "data is equal" in title:
            read.data = quoted
    return read


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of the first Gherkin table in a text, by the names in its first row."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if "|" in line
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def all_scenarios() -> list[Scenario]:
    return scenarios(FEATURE.read_text()) if FEATURE.exists() else []


def encoded(headers: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in headers.items()]


def attributes_of(envelope: Envelope) -> dict[str, str]:
    """Return the CloudEvents attributes that an envelope says, by their names in the specification."""
    said = {
        name.removeprefix("ce_"): value.decode()
        for name, value in envelope.headers()
        if name.startswith("ce_")
    }
    return said | {"datacontenttype": envelope.content_type}


def test_the_feature_has_the_scenarios_that_it_is_run_for():
    """A feature file that was not understood would pass by testing nothing."""
    names = [each.name for each in all_scenarios()]
    assert names == [
        "Binary content mode",
        "Structured content mode (application/cloudevents+json)",
        "Structured content mode (application/cloudevents+json; charset=utf-8)",
    ]


@pytest.mark.parametrize(
    "given", [s for s in all_scenarios() if s.name.startswith("Binary")], ids=lambda s: s.name
)
def test_binary_mode_is_read_as_the_scenario_says(given):
    """Attributes from the headers, data from the value."""
    envelope = read_envelope(encoded(given.headers))
    assert given.attributes and attributes_of(envelope) == given.attributes
    assert parse(given.payload.encode(), 1_000) == json.loads(given.data)


@pytest.mark.parametrize(
    "given", [s for s in all_scenarios() if s.name.startswith("Structured")], ids=lambda s: s.name
)
def test_structured_mode_is_refused_with_its_own_code(given):
    """A producer learns what it did, not just that it failed."""
    with pytest.raises(EnvelopeError) as caught:
        read_envelope(encoded(given.headers))
    assert caught.value.code == "structured-mode"
