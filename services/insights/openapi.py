"""The OpenAPI 3.1 document of the numbers, generated from what is asked, answered and refused."""

from typing import Any

from schemas.clicks import CELL_FORM, WINDOW_FORM, Kind
from schemas.statistics import MOST_LISTED
from services.insights import asking
from services.insights.refusals import MEANING, STATUS, Code

_COMMON = (Code.QUERY_WRONG, Code.PARAMETER_UNKNOWN, Code.PARAMETER_REPEATED)
_ALWAYS = (Code.TOKEN_WRONG, Code.METHOD_NOT_ALLOWED, Code.STORE_UNAVAILABLE, Code.INTERNAL)
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}
_WINDOW = {"type": "string", "pattern": WINDOW_FORM}
_MAYBE = {"oneOf": [_WINDOW, {"type": "null"}]}


def document() -> dict[str, Any]:
    """Return the document; the same one for the same code."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Lethe insights",
            "version": "1",
            "description": "Numbers of crowds, and lists made of them. `at_least` of a count is rounded down to a "
            "multiple of `crowd`, of what was dropped to its first digit. Answers carry an ETag: ask with "
            "If-None-Match. Refusals name a code, never a value.",
        },
        "security": [{"reader": []}],
        "paths": {
            "/v1/hot": _read("hot", "What many view now", "List", [_limit(MOST_LISTED)], Code.LIMIT_WRONG),
            "/v1/trending": _read(
                "trending", "What more people search for than before", "List", [_limit(MOST_LISTED)], Code.LIMIT_WRONG
            ),
            asking.RECOMMENDATIONS: _read(
                "recommendations",
                "What is viewed before or after an item. Who sends Sec-GPC: 1 or DNT: 1, or of whom the shop says "
                "personal=no, gets the list of /v1/hot.",
                "List",
                [
                    _query("item", {"type": "string", "pattern": CELL_FORM}, required=True),
                    _query("personal", {"enum": ["yes", "no"], "default": "yes"}),
                    _limit(MOST_LISTED),
                    _signal("Sec-GPC"),
                    _signal("DNT"),
                ],
                Code.ITEM_MISSING, Code.ITEM_WRONG, Code.PERSONAL_WRONG, Code.LIMIT_WRONG,
            ),
            asking.STATISTICS: _read("overview", "Which windows there are, and what was dropped", "Overview", []),
            asking.OF_A_KIND: _read(
                "statistics", "The counts of one kind in one window, the greatest first", "Counts",
                [
                    {"name": "kind", "in": "path", "required": True, "schema": {"enum": [each.value for each in Kind]}},
                    _query("window", _WINDOW),
                    _limit(asking.MOST_COUNTS),
                    _query("page", {**_NUMBER, "maximum": asking.MOST_PAGES, "default": 1}),
                ],
                Code.KIND_UNKNOWN, Code.WINDOW_WRONG, Code.LIMIT_WRONG, Code.PAGE_WRONG,
            ),
        },
        "components": {
            "securitySchemes": {"reader": {"type": "http", "scheme": "bearer"}},
            "schemas": SCHEMAS,
        },
    }  # fmt: skip


def _object(**fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _many(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items} | ({"maxItems": most} if most else {})


_LISTED = {"oneOf": [_object(**{name: _TEXT, "score": {"type": "number"}}) for name in ("item", "term")]}
SCHEMAS: dict[str, Any] = {
    "List": _object(
        listing={"enum": ["hot", "trending", "also-viewed"]},
        of={"type": ["string", "null"]},
        through=_MAYBE,
        items=_many(_LISTED, MOST_LISTED),
    ),
    "Counts": _object(
        kind={"enum": [each.value for each in Kind]},
        window=_MAYBE,
        crowd=_NUMBER,
        page=_NUMBER,
        more={"type": "boolean"},
        counts=_many(_object(cell=_many(_TEXT, 2), at_least=_NUMBER), asking.MOST_COUNTS),
    ),
    "Overview": _object(
        crowd=_NUMBER,
        kinds={"type": "object", "additionalProperties": _many(_WINDOW)},
        dropped=_many(_object(day=_WINDOW, at_least={"type": "integer", "minimum": 0})),
    ),
    "Refusal": _object(code={"enum": sorted(code.value for code in Code)}),
}


def _query(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _limit(most: int) -> dict[str, Any]:
    return _query("limit", {**_NUMBER, "maximum": most, "default": asking.LIMIT})


def _signal(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": _TEXT, "description": "`1` refuses personalisation."}


def _read(
    name: str, summary: str, schema: str, parameters: list[dict[str, Any]], *codes: Code
) -> dict[str, Any]:
    refusals: dict[str, list[str]] = {}
    for code in (*_COMMON, *codes, *_ALWAYS):
        refusals.setdefault(str(STATUS.get(code, 422)), []).append(f"`{code}`: {MEANING[code]}")
    answers: dict[str, Any] = {
        "200": {"description": summary, "content": _json(schema)},
        "304": {"description": "Unchanged"},
    }
    for status, said in sorted(refusals.items()):
        answers[status] = {"description": "\n\n".join(said), "content": _json("Refusal")}
    return {"get": {"operationId": name, "summary": summary, "parameters": parameters, "responses": answers}}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
