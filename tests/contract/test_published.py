"""What others build against is committed, current, and valid by the standards it names."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.matrix import ALL_TOPICS, picture, principals
from schemas.orders import OrderPlaced
from schemas.publish.__main__ import PUBLISHED, outdated
from schemas.publish.documents import documents
from schemas.publish.json_schemas import events, intake_form, submitted, wire_form
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import place

ASYNCAPI = json.loads((PUBLISHED / "asyncapi.json").read_text())
ORDER = "0" * 32
SEALED = seal(DataKey.fresh(), place("orders", ORDER, "ship_to"), b"{}")
RECIPIENT = {
    "name": "Zoë Smith",
    "address_lines": ["5 Privet Lane"],
    "city": "Surrey",
    "postal_code": "GU1",
    "country": "GB",
}
LINE = {"sku": "85123A", "name": "T-LIGHT HOLDER", "quantity": 6, "unit_price_minor": 255}
BASKET = {
    "number": "536365",
    "placed_at": "2026-11-23T08:26:00Z",
    "currency": "GBP",
    "exponent": 2,
    "lines": [LINE],
    "total_minor": 1530,
}
PLAIN = {"order": ORDER, "carrier": "acme", "basket": BASKET, "ship_to": RECIPIENT}


def test_the_committed_files_are_what_the_contracts_say():
    """A contract that changes without `python -m schemas.publish` fails here."""
    assert outdated() == []


def test_a_drift_is_found_and_named(tmp_path, monkeypatch):
    """A file that differs, is missing, or is left over."""
    for name, text in documents().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr("schemas.publish.__main__.PUBLISHED", tmp_path)
    assert outdated() == []
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "events/lethe.order.paid.v1.json").unlink()
    (tmp_path / "events/lethe.order.gone.v1.json").write_text("{}")
    assert outdated() == [
        "asyncapi.json",
        "events/lethe.order.gone.v1.json",
        "events/lethe.order.paid.v1.json",
    ]


def test_the_check_is_a_command():
    """As CI and people run it."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "schemas.publish", "--check"], cwd=root, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- JSON Schema ---


@pytest.mark.parametrize(
    "path", sorted(PUBLISHED.glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_schema_is_a_schema(path):
    """JSON Schema 2020-12, by its own meta-schema; every object closed, every top field classified."""
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part.get("type") != "object" or part["additionalProperties"] is False
    for name, field in schema.get("properties", {}).items():
        assert field["x-privacy"].keys() in ({"clear"}, {"category", "purpose", "retention"}), name


def test_a_foreign_validator_agrees_about_an_order():
    """What pydantic takes jsonschema takes, sealed and unsealed."""
    wire = {"order": ORDER, "carrier": "acme", "basket": SEALED, "ship_to": SEALED}
    OrderPlaced.model_validate_json(json.dumps(wire))
    OrderPlaced.plain_form().model_validate_json(json.dumps(PLAIN))
    assert Draft202012Validator(wire_form(OrderPlaced)).is_valid(wire)
    assert Draft202012Validator(intake_form(OrderPlaced)).is_valid(PLAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"order": "1"},
        {"carrier": "Acme Inc"},
        {"gift": True},
        {"ship_to": "5 Privet Lane"},
        {"ship_to": {**RECIPIENT, "name": "a\0"}},
        {"ship_to": {**RECIPIENT, "name": " "}},
        {"ship_to": {**RECIPIENT, "age": 5}},
        {"basket": SEALED},
        {"basket": {**BASKET, "total_minor": -1}},
        {"basket": {**BASKET, "lines": []}},
        {"basket": {**BASKET, "exponent": 5}},
    ],
)
def test_a_foreign_validator_refuses_what_we_refuse(change):
    """The published patterns are not narrower in one language than in another."""
    assert not Draft202012Validator(intake_form(OrderPlaced)).is_valid(PLAIN | change)


def test_a_sealed_field_never_shows_its_inside_on_the_wire():
    """Wire schemas say of a personal field that it is sealed; what is in it is the storefront's business."""
    for event in events():
        for name in event.personal_fields():
            field = wire_form(event)["properties"][name]
            assert field["contentMediaType"] == "application/jose" and "$ref" not in field
    assert submitted() == tuple(event for event in events() if event.type.startswith("lethe.order."))


# --- AsyncAPI: structure, since its official schema is in no Python package ---


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [each for value in part.values() for each in references(value)]
    return [each for value in part for each in references(value)] if isinstance(part, list) else []


def resolved(reference: str) -> Any:
    part: Any = ASYNCAPI
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def test_every_reference_leads_somewhere():
    """And nothing is declared that nobody refers to."""
    found = set(references(ASYNCAPI))
    assert all(reference.startswith("#/") and resolved(reference) is not None for reference in found)
    for kind, named in ASYNCAPI["components"].items():
        for name in named:
            assert f"#/components/{kind}/{name}" in found, f"{kind}/{name} is referred to by nobody"


def test_the_document_has_the_shape_of_asyncapi_3():
    """Required members, closed vocabularies and names as the specification of version 3.0.0 has them."""
    assert ASYNCAPI.keys() <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"
    }  # fmt: skip
    assert ASYNCAPI["asyncapi"] == "3.0.0" and {"title", "version"} <= ASYNCAPI["info"].keys()
    for server in ASYNCAPI["servers"].values():
        assert {"host", "protocol"} <= server.keys()
        assert set(re.findall(r"{(\w+)}", server["host"])) == server["variables"].keys()
    for kind, named in ASYNCAPI["components"].items():
        assert kind in {"schemas", "messages", "messageTraits", "securitySchemes"}
        assert all(re.fullmatch(r"[A-Za-z0-9_\-]+", name) for name in named)
    for channel in ASYNCAPI["channels"].values():
        assert channel.keys() <= {"address", "description", "messages", "bindings", "parameters"}
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel.get("parameters", {}).keys()
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert all(name in {"action", "channel", "bindings"} or name.startswith("x-") for name in operation)
    for message in ASYNCAPI["components"]["messages"].values():
        assert all(
            name in {"name", "summary", "contentType", "headers", "payload", "traits", "bindings"}
            or name.startswith("x-")
            for name in message
        )


def test_channels_and_operations_are_the_access_matrix():
    """One channel per topic, one operation per right, none besides."""
    by_address = {channel["address"]: (name, channel) for name, channel in ASYNCAPI["channels"].items()}
    assert by_address.keys() == {topic.name for topic in ALL_TOPICS}
    rights = {(o["x-principal"], o["action"], o["channel"]["$ref"]) for o in ASYNCAPI["operations"].values()}
    expected = set()
    for topic in ALL_TOPICS:
        name, channel = by_address[topic.name]
        assert list(channel["messages"]) == [event.__name__ for event in topic.events]
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        expected |= {(p, "send", f"#/channels/{name}") for p in topic.writers}
        expected |= {(p, "receive", f"#/channels/{name}") for p in topic.readers}
    assert rights == expected and {principal for principal, _, _ in rights} <= set(principals())
    assert len(ASYNCAPI["operations"]) == len(rights)


def test_a_reader_is_told_which_groups_it_may_use():
    """Its own name, or its name and a dot; a partner's is no beginning of another's."""
    groups = {
        operation["x-principal"]: operation["bindings"]["kafka"]["groupId"]["pattern"]
        for operation in ASYNCAPI["operations"].values()
        if operation["action"] == "receive"
    }
    assert re.search(groups["orders"], "orders") and not re.search(groups["orders"], "orders2")
    partner = groups["partner.{partner}"]
    assert re.search(partner, "partner.acme") and re.search(partner, "partner.acme.labels")
    assert not re.search(partner, "partner.") and not re.search(partner, "partnerXacme")


def test_every_field_says_what_its_privacy_is():
    """C4: the published contract repeats the classification of every field of every event."""
    schemas = ASYNCAPI["components"]["schemas"]
    for event in events():
        for name, field in schemas.get(event.__name__, {}).get("properties", {}).items():
            personal = event.personal_fields().get(name)
            said = field["x-privacy"]
            assert said == (
                {"category": personal.category, "purpose": personal.purpose, "retention": personal.keep}
                if personal
                else {"clear": said["clear"]}
            )


def test_a_tombstone_has_no_payload_and_says_its_reason_in_a_header():
    """D4: a revocation is a record without a value."""
    revoked = ASYNCAPI["components"]["messages"]["CopyRevoked"]
    assert "payload" not in revoked
    assert revoked["headers"]["properties"]["ce_reason"]["enum"] == [
        "completed",
        "cancelled",
        "erased",
        "agreement-ended",
    ]


def test_no_registry_host_or_machine_shows():
    """The published files name no host but the one everybody has."""
    for path in PUBLISHED.rglob("*.json"):
        urls = set(re.findall(r"https?://[^\s\"]+", path.read_text()))
        assert urls <= {"https://json-schema.org/draft/2020-12/schema"}


def test_the_readme_draws_the_matrix():
    """The picture on the first screen is derived, so it cannot show a flow that nobody has a right to."""
    readme = Path(__file__).resolve().parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("there is no README yet")
    assert picture().strip() in readme.read_text()
