"""`Sealed[T]`: the only type of a personal field on the wire (T1)."""

import base64
from typing import Any, Generic, Self, TypeVar

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from schemas.errors import ContractError

T = TypeVar("T")

# The first part is the base64url of `{"alg":"dir","enc":"A256GCM","kid":"`, which every sealed value begins with.
# `dir` has no encrypted key; 16 characters are the 96-bit nonce, 22 the 128-bit tag (RFC 7516 §7.1).
SEALED_FORM = (
    r"^eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoi[A-Za-z0-9_-]+"
    r"\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}$"
)
SEALED_BYTES = 512 * 1024
"""No sealed value is longer."""
_HEAD = SEALED_FORM[1:].partition("[")[0]
_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def has_sealed_form(text: str) -> bool:
    """Whether a text matches `SEALED_FORM`; in a third of the time, because workers ask it of all that they pass on."""
    if not (text.isascii() and text.startswith(_HEAD)):
        return False
    # With these four dots and no other, what stands between them has the right length and no part can be longer.
    header_end, tag_dot = text.find(".."), len(text) - 23
    return (
        len(_HEAD) < header_end < tag_dot - 19
        and text[header_end + 18] == text[tag_dot] == "."
        and text.encode().translate(None, _BASE64URL) == b"...."
    )


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
        """The protected header, unverified: good for looking up a key, not for trusting a place.

        Raises `ContractError` when it is none.
        """
        encoded = self.token.partition(".")[0]
        try:
            header = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        except ValueError:  # no ASCII, no base64, no JSON
            header = None
        if not isinstance(header, dict):
            raise ContractError("sealed-header")
        return header

    @property
    def kid(self) -> str:
        """The id of the data key that this value is sealed under, unverified; raises `ContractError`."""
        kid = self.header.get("kid")
        if not isinstance(kid, str):
            raise ContractError("sealed-header")
        return kid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __repr__(self) -> str:
        return "Sealed(…)"

    @classmethod
    def _checked(cls, text: str) -> Self:
        if not has_sealed_form(text):
            raise PydanticKnownError("string_pattern_mismatch", {"pattern": SEALED_FORM})
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(
            cls._checked, core_schema.str_schema(max_length=SEALED_BYTES)
        )
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda sealed: sealed.token),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": SEALED_FORM,
            "maxLength": SEALED_BYTES,
            "contentMediaType": "application/jose",
        }
