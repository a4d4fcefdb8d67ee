"""The vocabulary of classification, and the guards that make an unclassified field fail at import (C4).

A guard looks at types, not at values: it runs once, when a contract's class is made, and costs a record nothing.
What no rule knows is refused: the lists below are complete, and a new kind of field starts with a new rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from schemas.sealed import Sealed


class Category(StrEnum):
    """What kind of personal data a value is; a data key belongs to one subject, one scope and one of these."""

    IDENTITY = "identity"
    LOGISTICS = "logistics"
    TRANSACTION = "transaction"
    ACCOUNTING = "accounting"


class Purpose(StrEnum):
    """What a value may be opened for; every opening is counted under one of these."""

    SETTLEMENT = "settlement"
    DELIVERY = "delivery"
    TAX_RECORDS = "tax-records"


class Retention(StrEnum):
    """How long a value may live when nobody asks for its erasure."""

    WHILE_OPEN = "while-open"
    STATUTORY = "statutory"


@dataclass(frozen=True, slots=True)
class Personal:
    """Classifies a sealed field."""

    category: Category
    purpose: Purpose
    keep: Retention

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        said = {"category": self.category.value, "purpose": self.purpose.value, "retention": self.keep.value}
        return handler(schema) | {"x-privacy": said}


@dataclass(frozen=True, slots=True)
class Clear:
    """Classifies a field that everyone who may read the topic may read, and says why that is harmless."""

    why: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"x-privacy": {"clear": self.why}}


@dataclass(frozen=True, slots=True)
class Anonymous(Clear):
    """Classifies text that people typed, in a record that says nothing of who; the reason says what guards it.

    Such a text may hold anything: it is of bounded length, and nothing that identifies stands beside it.
    """


class UnclassifiedField(TypeError):
    """A field of a contract is neither personal nor clear, or is not what its classification needs."""


_PERSON = ("Zoë Smith", "zoe@example.com", "+447700900123", "5 Privet Lane", "Smith\nLane")
"""What must never fit into a clear field: a clear text has a form that a person's data has not."""
_UNSTORABLE = ("a\0b", "a\x1bb")
_SIMPLE = (NoneType, bool, int, float, date, AwareDatetime)

Leaf = tuple[Any, tuple[Any, ...]]
"""A type that is not composed of others, and what annotates it."""


def classification_of(model: type[BaseModel], name: str, field: FieldInfo) -> Personal | Clear:
    """Return how a field is classified; raise `UnclassifiedField` when it is not, or is not sealed though personal."""
    kinds = [mark for mark in field.metadata if isinstance(mark, Personal | Clear)]
    if len(kinds) != 1:
        raise UnclassifiedField(f"{model.__name__}.{name} is not classified exactly once")
    if isinstance(kinds[0], Personal) != is_sealed(field.annotation):
        raise UnclassifiedField(f"{model.__name__}.{name}: personal means sealed, clear means not sealed")
    return kinds[0]


def is_sealed(annotation: Any) -> bool:
    """Say whether a field's type is `Sealed[...]` (or an optional one)."""
    return _sealed_alias(annotation) is not None


def sealed_type(annotation: Any) -> Any:
    """Return T of `Sealed[T]` or of `Sealed[T] | None`."""
    (inner,) = get_args(_sealed_alias(annotation)) or (None,)
    return inner


def check_contract(model: type[BaseModel], contract: type[BaseModel], personal: type[BaseModel]) -> None:
    """Refuse a contract with a field that is unclassified, badly sealed, or free text in clear."""
    _check_strict(model)
    for name, field in model.model_fields.items():
        where = f"{model.__name__}.{name}"
        classified = classification_of(model, name, field)
        if isinstance(classified, Personal):
            _check_type(where, sealed_type(field.annotation), personal)
            continue
        for kind, marks in leaves(field.annotation, tuple(field.metadata)):
            if kind is str and isinstance(classified, Anonymous):
                _check_text(where, marks)
            elif kind is str:
                _check_form(where, marks, _PERSON)
            else:
                _check_type(where, kind, contract)


def check_personal_data(model: type[BaseModel], personal: type[BaseModel]) -> None:
    """Refuse personal data of no bound or of no declared shape: only what is necessary is collected."""
    _check_strict(model)
    for name, field in model.model_fields.items():
        where = f"{model.__name__}.{name}"
        for kind, marks in leaves(field.annotation, tuple(field.metadata)):
            if kind is str:
                _check_text(where, marks)
            else:
                _check_type(where, kind, personal)


def leaves(annotation: Any, marks: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    """Yield every type that a field is composed of, through Optional, unions, Annotated and collections."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from leaves(parts[0], (*marks, *parts[1:]))
    elif origin in (Union, UnionType):
        for part in parts:
            yield from leaves(part, marks)
    elif origin in (list, tuple, set, frozenset, dict):
        # What annotates a collection (its length) says nothing of what is in it.
        for part in parts:
            yield from leaves(part) if part is not Ellipsis else ()
    else:
        yield annotation, marks


def _sealed_alias(annotation: Any) -> Any:
    """Return the `Sealed[...]` of a field that holds one sealed value or none, else None."""
    kinds = [kind for kind, _ in leaves(annotation) if kind is not NoneType]
    alone = len(kinds) == 1 and get_origin(annotation) in (None, Sealed, Annotated, Union, UnionType)
    return kinds[0] if alone and (kinds[0] is Sealed or get_origin(kinds[0]) is Sealed) else None


def _check_strict(model: type[BaseModel]) -> None:
    wanted = {"extra": "forbid", "frozen": True, "strict": True, "hide_input_in_errors": True}
    if any(model.model_config.get(name) != value for name, value in wanted.items()):
        raise UnclassifiedField(f"{model.__name__} loosens the configuration of a contract")
    if model.model_computed_fields:
        raise UnclassifiedField(f"{model.__name__} computes a field that nobody classified")


def _check_type(where: str, kind: Any, base: type[BaseModel]) -> None:
    closed = isinstance(kind, type) and (issubclass(kind, base | StrEnum) or kind in _SIMPLE)
    if not closed and get_origin(kind) is not Literal:
        raise UnclassifiedField(
            f"{where}: only {base.__name__}, enumerations, numbers and moments are declared"
        )


def _check_text(where: str, marks: tuple[Any, ...]) -> None:
    """Refuse a text that nothing could store, or of no greatest length."""
    _check_form(where, marks, _UNSTORABLE)
    if not any(getattr(mark, "max_length", None) for mark in marks):
        raise UnclassifiedField(f"{where}: a text of no greatest length")


def _check_form(where: str, marks: tuple[Any, ...], never: tuple[str, ...]) -> None:
    """Refuse a text without a pattern, and one whose pattern lets through what it never may hold."""
    patterns = [pattern for mark in marks if (pattern := getattr(mark, "pattern", None))]
    if not patterns:
        raise UnclassifiedField(f"{where}: free text; it needs a pattern, or belongs into personal data")
    if any(all(re.search(pattern, text) for pattern in patterns) for text in never):
        raise UnclassifiedField(f"{where}: its pattern lets through what may not be there")
