"""How a schema says what is personal: category, purpose, retention, field by field (C4, T1, U1).

A field of an event is either *personal*, then it travels as `Sealed[T]` and names its `Personal`
classification, or *clear*, then it says why it may be read by everyone. A field that says neither, or says it
of a type that does not keep the promise, fails when the module is imported.
"""

import builtins
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, create_model

from schemas.classification import (
    Anonymous,
    Category,
    Clear,
    Personal,
    Purpose,
    Retention,
    UnclassifiedField,
    check_contract,
    check_personal_data,
    classification_of,
    is_sealed,
    sealed_type,
)
from schemas.sealed import SEALED_BYTES, Sealed

__all__ = (
    "SEALED_BYTES",
    "Anonymous",
    "Category",
    "Clear",
    "Contract",
    "Event",
    "Personal",
    "PersonalData",
    "Purpose",
    "Retention",
    "Sealed",
    "UnclassifiedField",
    "Words",
    "classification_of",
    "is_sealed",
    "sealed_type",
)

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False)


Words = type[StrEnum]
"""A closed vocabulary."""


class Contract(BaseModel):
    """A model whose every field is classified; the base of events and of what they carry in clear."""

    model_config = _STRICT

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        check_contract(cls, Contract, PersonalData)


class PersonalData(BaseModel):
    """What is inside a sealed value: all of it has the classification of the field that carries it."""

    model_config = _STRICT

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        check_personal_data(cls, PersonalData)


class Event(Contract):
    """Something that happened, or (imperative names) a command, as it travels in a record's value."""

    type: ClassVar[str]
    scope_field: ClassVar[str | None] = None
    """The field that names the scope (an order) whose keys and exceptions this event falls under."""
    suppressible: ClassVar[bool] = True
    """False: handled even when the subject is erased (acknowledgements, the fan-out's own commands)."""
    collection: ClassVar[str] = ""
    """First part of the place of every value this event seals: `<collection>/<scope>/<field>`."""
    extensions: ClassVar[Mapping[str, Words]] = MappingProxyType({})
    """What this event says in headers of its own (`ce_<name>`), and in which words."""
    valueless: ClassVar[bool] = False
    """True: a tombstone. The record has no value, so that compaction and readers drop what it refers to."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.scope_field is not None and cls.scope_field not in cls.model_fields:
            raise UnclassifiedField(f"{cls.__name__} has no field {cls.scope_field} to be its scope")
        if cls.personal_fields() and not (cls.scope_field and cls.collection):
            raise UnclassifiedField(f"{cls.__name__} seals values that have no place")

    @property
    def scope(self) -> str | None:
        """The scope this event is about, None when it is about the subject as a whole."""
        return getattr(self, self.scope_field) if self.scope_field else None

    @classmethod
    def personal_fields(cls) -> Mapping[str, Personal]:
        """Name and classification of every sealed field."""
        return _personal_fields(cls)

    @classmethod
    def plain_form(cls) -> builtins.type[BaseModel]:
        """The same event before sealing, as a storefront writes it: `Sealed[T]` replaced by T."""
        return _plain_form(cls)

    def place(self, field: str) -> str:
        """Where a sealed field of this event logically lives, whoever carries it."""
        return f"{self.collection}/{self.scope}/{field}"


@cache
def _personal_fields(event: type[Event]) -> Mapping[str, Personal]:
    """Asked for every outgoing event, and the same for the whole life of a class."""
    found = {name: classification_of(event, name, field) for name, field in event.model_fields.items()}
    return {name: kind for name, kind in found.items() if isinstance(kind, Personal)}


_PLAIN_FORMS: dict[type[Event], type[BaseModel]] = {}


def _plain_form(event: type[Event]) -> type[BaseModel]:
    if event not in _PLAIN_FORMS:
        fields: dict[str, Any] = {}
        for name, field in event.model_fields.items():
            kind = field.annotation
            if is_sealed(kind):
                kind = sealed_type(kind) if field.is_required() else sealed_type(kind) | None
            fields[name] = (Annotated[kind, *field.metadata], ... if field.is_required() else field.default)
        name = event.__name__ + "Plain"
        _PLAIN_FORMS[event] = create_model(
            name, __config__=event.model_config, __doc__=event.__doc__, **fields
        )
    return _PLAIN_FORMS[event]
