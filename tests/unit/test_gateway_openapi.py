"""The published description says what the gateway does: same paths, same codes, same shapes."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from services.gateway.jwks import CertificateKeys
from services.gateway.openapi import document
from services.gateway.refusals import STATUS, Code
from services.gateway.submission import FORMS
from tests.unit.gateway_room import INVOICE, Room, cancelled, event_of, placed
from tests.unit.test_gateway_bad_input import BAD


def schema(name: str) -> Draft202012Validator:
    """Return a validator of one component."""
    whole = document()
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": whole["components"]})


async def test_it_is_served_and_free_to_read() -> None:
    answer = await Room().http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(document()))
    assert answer.json()["openapi"].startswith("3.1")


def test_every_route_is_described_and_nothing_else() -> None:
    routes = [route for route in Room().app.routes if isinstance(route, Route)]
    served = {
        (route.path, method.lower())
        for route in routes
        for method in route.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    described = {
        (path, method)
        for path, item in document()["paths"].items()
        for method in item
        if method in ("get", "post")
    }
    assert described == served


def test_every_refusal_is_described_under_its_status() -> None:
    said: dict[str, str] = {}
    for item in document()["paths"].values():
        for operation in (item.get("get"), item.get("post")):
            for status, answer in (operation or {}).get("responses", {}).items():
                said[status] = said.get(status, "") + answer["description"]
    for code in Code:
        if code not in (Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED):
            assert f"`{code}`" in said[str(STATUS.get(code, 422))]


def test_every_reference_leads_somewhere() -> None:
    whole = document()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    for reference in references(whole):
        node = whole
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    for name in whole["components"]["schemas"]:
        Draft202012Validator.check_schema(whole["components"]["schemas"][name])


@pytest.mark.parametrize(
    "event", [placed(), cancelled(), event_of("paid", "0" * 32, {"order": "0" * 32, "invoice": INVOICE})]
)
async def test_what_is_described_is_accepted(event) -> None:
    assert schema("Event").is_valid(event)
    assert (await Room().take(event)).status_code == 202


# JSON Schema knows no sums, no ISO 4217 exponents, and `format` asserts nothing.
BEYOND_A_SCHEMA = {
    "wrong sum", "wrong exponent", "unknown currency", "address without a post code", "unknown country",
    "time without zone", "time of no calendar", "time before time", "event over 256 KiB",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name, case in BAD.items() if isinstance(case[0], dict) and name not in BEYOND_A_SCHEMA]
)
def test_what_is_refused_is_not_described(name: str) -> None:
    assert not schema("Event").is_valid(BAD[name][0])


async def test_answers_have_the_described_shape() -> None:
    room = Room()
    schema("Accepted").validate((await room.take(placed())).json())
    schema("Results").validate((await room.take([placed(), 7])).json())
    schema("Refusal").validate((await room.take(b"{")).json())
    told = (await room.post("/v1/erasures", {"subject": "a" * 32})).json()
    schema("Asked").validate(told)
    schema("Progress").validate((await room.get(told["status_url"])).json())


def test_personal_fields_are_described_in_their_plain_form() -> None:
    text = json.dumps(document())
    assert set(FORMS) == {"lethe.order.placed.v1", "lethe.order.paid.v1", "lethe.order.cancelled.v1"}
    assert "address_lines" in text
    assert "application/jose" in text
    assert "A256GCM" not in text


def test_certificate_keys_are_read_again_when_they_change_and_never_private(tmp_path) -> None:
    path = tmp_path / "keys.jwks"
    keys = CertificateKeys(path)
    assert json.loads(keys.document()) == {"keys": []}
    path.write_text(
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "1", "d": "secret"}]})
    )
    assert json.loads(keys.document()) == {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "1"}]}
    path.write_text("{half")
    assert json.loads(keys.document())["keys"]
    path.write_text('{"keys": []}')
    assert json.loads(keys.document()) == {"keys": []}
