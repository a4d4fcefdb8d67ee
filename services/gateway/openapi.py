"""The gateway's OpenAPI 3.1 document, generated from the forms it accepts and the refusals it gives."""

from typing import Any

from pydantic.json_schema import models_json_schema

from services.gateway import openapi_clicks as clicks
from services.gateway.erasures import Wish
from services.gateway.refusals import MEANING, STATUS, Code
from services.gateway.submission import BODY_BYTES, EVENT_BYTES, FORMS, MOST_EVENTS

_REFERENCE = "#/components/schemas/{model}"
_COMMON = (Code.TOKEN_WRONG, Code.STORE_UNAVAILABLE, Code.INTERNAL)
_BODY = (Code.BODY_TOO_LARGE, Code.BODY_SLOW, Code.CONTENT_TYPE, Code.CONTENT_ENCODING, Code.NOT_AN_OBJECT)
_EVENTS = (
    Code.EVENT_TOO_LARGE, Code.TOO_MANY_EVENTS, Code.NO_EVENTS, Code.TYPE_UNKNOWN, Code.VERSION_UNKNOWN,
    Code.SUBJECT_FOREIGN, Code.SUBJECT_ERASED, Code.KEYRING_UNAVAILABLE, Code.BROKER_UNAVAILABLE,
)  # fmt: skip
_ASK = (
    Code.SALT_MISSING, Code.SUBJECT_FOREIGN, Code.REQUEST_DIFFERS, Code.KEYRING_UNAVAILABLE, Code.BROKER_UNAVAILABLE
)  # fmt: skip


def document() -> dict[str, Any]:
    """Return the document; the same one for the same code."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Lethe gateway",
            "version": "1",
            "description": "What a storefront may send. Refusals name a code and a field, never a value. "
            "Everything that was refused with 408, 429 or 503, or not answered, may be sent again unchanged.",
        },
        "security": [{"storefront": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"storefront": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    of_request = {"name": "request", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/events": {"post": _take_events()},
        "/v1/erasures": {"post": _ask_for_erasure()},
        "/v1/erasures/{request}": {
            "parameters": [of_request],
            "get": _operation(
                "erasure", "How far an erasure request is",
                {"200": _answer("State, who is missing, what is kept until when", _ref("Progress"))},
                *_COMMON, Code.REQUEST_UNKNOWN,
            ),
        },
        "/v1/erasures/{request}/certificate": {
            "parameters": [of_request],
            "get": _operation(
                "certificate", "The newest certificate of a request",
                {"200": _answer("A compact JWS", {"type": "string"}, "application/jose")},
                *_COMMON, Code.REQUEST_UNKNOWN, Code.CERTIFICATE_PENDING,
            ),
        },
        "/.well-known/jwks.json": {
            "get": _open(
                "keys", "Public keys that verify certificates",
                _answer("A JWK set", {"type": "object"}, "application/jwk-set+json"),
            )
        },
        "/openapi.json": {"get": _open("describe", "This document", _answer("OpenAPI 3.1", {"type": "object"}))},
        "/collect.js": {
            "get": _open("snippet", "What a shop's pages load", _answer("A script", _TEXT, "text/javascript"))
        },
        "/.well-known/gpc.json": {
            "get": _open("gpc", "That Global Privacy Control is abided by", _answer("GPC", {"type": "object"}))
        },
        **{path: {"post": _take_clicks(path)} for path in clicks.PATHS},
    }  # fmt: skip


def _take_events() -> dict[str, Any]:
    events = {"type": "array", "items": _ref("Event"), "minItems": 1, "maxItems": MOST_EVENTS}
    accepted = {"oneOf": [_ref("Accepted"), _ref("Results")]}
    return _operation(
        "takeEvents",
        "Take one event or an array of them",
        {
            "202": _answer("Kafka has every event", accepted),
            "207": _answer("Of an array, some were refused", _ref("Results")),
        },
        *_COMMON, *_BODY, *_EVENTS,
        invalid=True,
    ) | {
        "description": f"At most {MOST_EVENTS} events, {EVENT_BYTES} bytes each, {BODY_BYTES} bytes in all. "
        "An event is known by its id: sent again, it is accepted again and changes nothing.",
        "requestBody": _request({"oneOf": [_ref("Event"), events]}),
    }  # fmt: skip


def _take_clicks(path: str) -> dict[str, Any]:
    name, summary, schema = clicks.PATHS[path]
    content = {media_type: {"schema": _ref(schema)} for media_type in ("application/json", "text/plain")}
    answers = {
        "202": _answer("It was read; what was not taken is named", _ref("Read")),
        "204": {"description": "Nothing was read or kept: `Sec-GPC: 1`, `DNT: 1`, or a program"},
    }
    return _operation(name, summary, answers, *clicks.REFUSALS, invalid=True) | {
        "security": [],
        "description": clicks.DESCRIPTION,
        "parameters": [clicks.SHOP | {"required": schema != "Segment"}],
        "requestBody": {"required": True, "content": content},
    }


def _ask_for_erasure() -> dict[str, Any]:
    return _operation(
        "askForErasure",
        "Ask that a customer be forgotten",
        {"202": _answer("Kafka has the request; keep the salt, it is told once", _ref("Asked"))},
        *_COMMON, *_BODY, *_ASK,
        invalid=True,
    ) | {
        "description": "With an id and a salt of your own, a repeat is the same request.",
        "requestBody": _request(_ref("Wish")),
    }  # fmt: skip


def _operation(
    name: str, summary: str, answers: dict[str, Any], *codes: Code, invalid: bool = False
) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": answers | _refusals(codes, invalid)}


def _open(name: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "security": [], "responses": {"200": answer}}


def _refusals(codes: tuple[Code, ...], invalid: bool) -> dict[str, Any]:
    by_status: dict[str, list[Code]] = {"400": [], "422": []} if invalid else {}
    for code in codes:
        by_status.setdefault(str(STATUS.get(code, 422)), []).append(code)
    return {status: _refusal(status, by_status[status]) for status in sorted(by_status)}


def _refusal(status: str, codes: list[Code]) -> dict[str, Any]:
    said = [f"`{code}`: {MEANING[code]}" for code in codes]
    if status == "400":
        said.append("The body is not unambiguous JSON; the code says in which way.")
    if status == "422":
        said.append("A field breaks its contract; the code says in which way, the field says where.")
    refusal = _answer("\n\n".join(said), _ref("Refusal"))
    if status == "503":
        refusal["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return refusal


def _schemas() -> dict[str, Any]:
    models = [(form.model, "validation") for form in FORMS.values()]
    _, generated = models_json_schema([*models, (Wish, "validation")], ref_template=_REFERENCE)  # type: ignore[list-item]
    names = {name: f"#/components/schemas/{form.model.__name__}" for name, form in FORMS.items()}
    event = {
        "oneOf": [{"$ref": reference} for reference in names.values()],
        "discriminator": {"propertyName": "type", "mapping": names},
    }
    return {"Event": event, **generated["$defs"], **clicks.SCHEMAS, **_ANSWERS}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=name)}


def _request(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answer(description: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


_TEXT = {"type": "string"}
_MOMENT = {"type": ["string", "null"], "format": "date-time"}
_OPTIONAL = {"type": ["string", "null"]}
_ANSWERS: dict[str, Any] = {
    "Accepted": _object("accepted", accepted={"const": True}),
    "Refusal": _object("code", code=_TEXT, field={"type": "string", "description": "Declared names and `*` alone."}),
    "Results": _object(
        "results",
        results={
            "type": "array",
            "description": "In the order of the events sent.",
            "items": _object("status", status={"type": "integer"}, code=_TEXT, field=_TEXT),
        },
    ),
    "Asked": _object("request salt status_url", request=_TEXT, salt=_TEXT, status_url=_TEXT),
    "Kept": _object(
        "category ground until scopes",
        category=_TEXT, ground=_TEXT, until=_MOMENT, scopes={"type": "integer"},
    ),
    "Progress": _object(
        "id state round missing kept",
        id=_TEXT,
        state=_TEXT,
        round={"type": "integer"},
        joined=_OPTIONAL,
        missing={"type": "array", "items": _TEXT},
        missing_since=_MOMENT,
        kept={"type": "array", "items": _ref("Kept")},
        unreadable_at=_MOMENT,
        certificate_url=_OPTIONAL,
    ),
}  # fmt: skip
