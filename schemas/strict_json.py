"""JSON as RFC 8259 and RFC 7493 (I-JSON) want it, read once and refused with a code, never with a value.

Two parsers may read an ambiguous text differently, and then what one checks is not what the other stores. So
what is ambiguous is refused at the edge: duplicate keys, numbers that lose digits, text that is not Unicode.
"""

import re
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ValidationError

from schemas.errors import ContractError

MOST_DEPTH = 32
MOST_INTEGER = 2**63 - 1

M = TypeVar("M", bound=BaseModel)

# Only ever run on a text that parsed: an unclosed string would make it quadratic.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_QUOTE_COLON = re.compile(rb'"[ \t\r\n]*:')
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19,}(?![\d.eE])")

_ORJSON_SAYS = {
    "byte order mark": "byte-order-mark",
    "not valid UTF-8": "not-utf-8",
    "depth limit": "too-deep",
    "infinity": "number-out-of-range",
    "control character": "control-character",
    "surrogate": "lone-surrogate",
}


def parse(data: bytes, most_bytes: int, most_depth: int = MOST_DEPTH) -> Any:
    """Return what the JSON text says, or raise `ContractError` with one of these codes and no value:

    `too-long`, `byte-order-mark`, `not-utf-8` (UTF-16 too), `too-deep`, `duplicate-key`, `nul`,
    `lone-surrogate`, `control-character`, `number-not-finite` (NaN, Infinity), `number-out-of-range` (1e999,
    integers beyond 64 bits), `not-json`.
    """
    if len(data) > most_bytes:
        raise ContractError("too-long")
    value, refused = _parsed(data)
    refused = refused or _ambiguity(data, value, most_depth)
    # Raised here and not where it was caught: the parser's own error holds the whole text.
    if refused:
        raise ContractError(refused)
    return value


def names_each_key_once(data: bytes, colons: int) -> bool:
    """Say whether a JSON text surely says no key twice; `colons` are counted in what came out of it, written again.

    Cheaper than `parse`, for a value whose depth and numbers a model bounds. What came out is a part of the text, and
    a key that was dropped takes its colon with it: where as many colons came out as went in, none was dropped. An
    escape could write a colon without one: with any `\\u003a` the answer is no. With `\\u0000` too: `parse` refuses it.
    """
    return data.count(b":") == colons and not any(escape in data for escape in (b"\\u003", b"\\u0000"))


def read(model: type[M], value: Any) -> M:
    """Return a parsed JSON value as the model, strictly; raise `ContractError` with code and field path."""
    try:
        return model.model_validate_json(orjson.dumps(value))
    except ValidationError as error:
        refused = violation(error, model)
    raise ContractError(*refused)


def violation(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return the code and the field path of the first thing that is wrong, nothing of the input in either."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return first["type"].replace("_", "-"), field_path(first["loc"], model)


def field_path(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return a pydantic location with positions as `*` and names that no model declares as `?`."""
    known = _declared(model)
    return ".".join("*" if isinstance(step, int) else step if step in known else "?" for step in location)


def _parsed(data: bytes) -> tuple[Any, str]:
    try:
        return orjson.loads(data), ""
    except orjson.JSONDecodeError as error:
        return None, _reason(data, str(error), error.pos)


def _reason(data: bytes, said: str, position: int) -> str:
    # UTF-16 without a byte order mark shows by its zero bytes.
    if b"\0" in data[:4]:
        return "not-utf-8"
    for phrase, code in _ORJSON_SAYS.items():
        if phrase in said:
            return code
    around = data[max(0, position - 1) : position + 9]
    return "number-not-finite" if b"NaN" in around or b"Inf" in around else "not-json"


def _ambiguity(data: bytes, value: Any, most_depth: int) -> str:
    """Return the code of what a valid text leaves open to interpretation, empty if nothing."""
    seen = _survey(value, most_depth)
    if seen.refused:
        return seen.refused
    # A text holds at least as many `":` as keys: when as many keys came out, none was given twice. The exact
    # rule, that outside strings a colon follows a key and nothing else, costs more and decides in doubt only.
    if seen.huge or len(_QUOTE_COLON.findall(data)) != seen.keys:
        bare = _STRING.sub(b"", data)
        if bare.count(b":") != seen.keys:
            return "duplicate-key"
        if not all(_fits(match[0]) for match in _LONG_INTEGER.finditer(bare)):
            return "number-out-of-range"
    return "nul" if b"\\u0000" in data and _holds_nul(value) else ""


def _fits(digits: bytes) -> bool:
    # The length first: reading a number of 5,000 digits costs more than refusing it.
    return len(digits) <= 20 and -MOST_INTEGER - 1 <= int(digits) <= MOST_INTEGER


class _Seen(NamedTuple):
    refused: str
    keys: int
    huge: bool
    """A number so large that it may have been written as an integer, which then lost digits."""


def _survey(value: Any, most_depth: int) -> _Seen:
    """Look at depth, keys and numbers, one level of nesting after the other."""
    keys, huge = 0, False
    level: list[Any] = [[value]]
    for _ in range(most_depth + 1):
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                keys += len(container)
                container = container.values()
            for each in container:
                kind = type(each)
                if kind is dict or kind is list:
                    below.append(each)
                elif kind is int and not -MOST_INTEGER - 1 <= each <= MOST_INTEGER:
                    return _Seen("number-out-of-range", keys, huge)
                elif kind is float and abs(each) >= MOST_INTEGER:
                    huge = True
        if not below:
            return _Seen("", keys, huge)
        level = below
    return _Seen("too-deep", keys, huge)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(_holds_nul(each) for each in value)


@lru_cache(maxsize=256)
def _declared(model: type[BaseModel]) -> frozenset[str]:
    """Return every field name that the model and the models in it declare."""
    names: set[str] = set()
    waiting: list[Any] = [model]
    seen: set[Any] = set()
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in seen:
                seen.add(kind)
                names.update(kind.model_fields)
                waiting.extend(field.annotation for field in kind.model_fields.values())
        elif get_origin(kind) in {Annotated, Union, UnionType, list, tuple, dict, set, frozenset}:
            waiting.extend(get_args(kind))
    return frozenset(names)
