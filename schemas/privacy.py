"""How a schema says what is personal: category, purpose, retention, field by field (C4, T1, U1).

A field of an event is either *personal*, then it travels as `Sealed[T]` and names its `Personal` classification,
or *clear*, then it says why it may be read by everyone. A field that says neither fails when the module is imported.
"""

import base64
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Clear:
    """Classifies a field that everyone who may read the topic may read, and says why that is harmless."""

    why: str


class UnclassifiedField(TypeError):
    """A field of a contract is neither personal nor clear."""


# `dir` has no encrypted key; 16 characters are the 96-bit nonce, 22 the 128-bit tag (RFC 7516 §7.1).
_SEALED_FORM = r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}$"


SEALED_BYTES = 512 * 1024
"""No sealed value is longer."""


class Sealed(Generic[T]):
    """A personal value of type T in its sealed form: passed on by everyone, read by who may open it.

    Only its shape is checked here, so that plaintext is refused where a sealed value belongs;
    whether it opens is for the holder of the key to find out.
    """

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    @property
    def header(self) -> dict[str, str]:
        """The protected header, unverified: good for looking up a key, not for trusting a place."""
        encoded = self.token.partition(".")[0]
        return orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))

    @property
    def kid(self) -> str:
        """The id of the data key that this value is sealed under, unverified."""
        return self.header["kid"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __repr__(self) -> str:
        return "Sealed(…)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        form = core_schema.str_schema(pattern=_SEALED_FORM, max_length=SEALED_BYTES)
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls, form),
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), core_schema.no_info_after_validator_function(cls, form)]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda sealed: sealed.token),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": _SEALED_FORM, "contentMediaType": "application/jose"}


class Contract(BaseModel):
    """A model whose every field is classified; the base of events and of what they carry in clear."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for name, field in cls.model_fields.items():
            classification_of(cls, name, field)


class PersonalData(BaseModel):
    """What is inside a sealed value: all of it has the classification of the field that carries it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Event(Contract):
    """Something that happened, or (imperative names) a command, as it travels in a record's value."""

    type: ClassVar[str]
    scope_field: ClassVar[str | None] = None
    """The field that names the scope (an order) whose keys and exceptions this event falls under."""
    suppressible: ClassVar[bool] = True
    """False: handled even when the subject is erased (acknowledgements, the fan-out's own commands)."""
    collection: ClassVar[str] = ""
    """First part of the place of every value this event seals: `<collection>/<scope>/<field>`."""

    @property
    def scope(self) -> str | None:
        """The scope this event is about, None when it is about the subject as a whole."""
        return getattr(self, self.scope_field) if self.scope_field else None

    @classmethod
    def personal_fields(cls) -> dict[str, Personal]:
        """Name and classification of every sealed field."""
        found = {name: classification_of(cls, name, field) for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in found.items() if isinstance(kind, Personal)}

    @classmethod
    def plain_form(cls) -> type[BaseModel]:
        """The same event before sealing, as a storefront writes it: `Sealed[T]` replaced by T."""
        return _plain_form(cls)

    def place(self, field: str) -> str:
        """Where a sealed field of this event logically lives, whoever carries it."""
        return f"{self.collection}/{self.scope}/{field}"


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
    if annotation is Sealed or get_origin(annotation) is Sealed:
        return True
    return any(is_sealed(part) for part in get_args(annotation) if part is not type(None))


def sealed_type(annotation: Any) -> Any:
    """Return T of `Sealed[T]`."""
    if get_origin(annotation) is Sealed:
        return get_args(annotation)[0]
    return next(sealed_type(part) for part in get_args(annotation) if is_sealed(part))


_PLAIN_FORMS: dict[type[Event], type[BaseModel]] = {}


def _plain_form(event: type[Event]) -> type[BaseModel]:
    if event not in _PLAIN_FORMS:
        fields = {
            name: (sealed_type(field.annotation), ...)
            if is_sealed(field.annotation)
            else (Annotated[field.annotation, *field.metadata], field.default if not field.is_required() else ...)
            for name, field in event.model_fields.items()
        }
        _PLAIN_FORMS[event] = create_model(event.__name__ + "Plain", __config__=event.model_config, **fields)
    return _PLAIN_FORMS[event]
