"""What nobody classified cannot be declared; what is personal cannot be anything but sealed (C4, T1)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, Optional, TypeVar, Union

import pytest
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError, computed_field

from schemas import topics
from schemas.errors import ContractError
from schemas.ids import OrderId
from schemas.orders import DELIVERY, OrderPlaced
from schemas.privacy import (
    Category,
    Clear,
    Contract,
    Event,
    Personal,
    PersonalData,
    Purpose,
    Sealed,
    UnclassifiedField,
    is_sealed,
    sealed_type,
)
from schemas.text import line
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import place

HARMLESS = Clear("harmless")
TOKEN = seal(DataKey.fresh(), place("orders", "0" * 32, "ship_to"), b"{}")
T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"


class Address(PersonalData):
    street: Annotated[str, line(80)]


class Place(Contract):
    owner: OrderId


class Loose(BaseModel):
    anything: str


PATTERNED = Annotated[str, StringConstraints(pattern="^[a-z]{1,9}$")]

UNCLASSIFIED = {
    "a bare str": str,
    "a bare enumeration": Colour,
    "a bare sealed value": Sealed[Address],
    "an unclassified contract": Place,
    "classified twice": Annotated[str, StringConstraints(pattern="^a$"), HARMLESS, Clear("again")],
    "clear and personal": Annotated[Sealed[Address], HARMLESS, DELIVERY],
    "personal but not sealed": Annotated[Address, DELIVERY],
    "personal text": Annotated[str, DELIVERY],
    "sealed but called clear": Annotated[Sealed[Address], HARMLESS],
    "a sealed text": Annotated[Sealed[str], DELIVERY],
    "a sealed something": Annotated[Sealed, DELIVERY],
    "a sealed contract": Annotated[Sealed[Place], DELIVERY],
    "sealed or plain": Annotated[Sealed[Address] | str, DELIVERY],
    "one of two sealed": Annotated[Sealed[Address] | Sealed[Place], DELIVERY],
    "many sealed in one place": Annotated[tuple[Sealed[Address], ...], DELIVERY],
    "a sealed one in a clear list": Annotated[list[Sealed[Address]], HARMLESS],
    "personal data in clear": Annotated[Address, HARMLESS],
    "personal data in a clear list": Annotated[list[Address], HARMLESS],
    "personal data in a clear mapping": Annotated[dict[PATTERNED, Address], HARMLESS],
    "optional personal data in clear": Annotated[Optional[Address], HARMLESS],  # noqa: UP045
    "free text": Annotated[str, HARMLESS],
    "free text of a length": Annotated[str, StringConstraints(max_length=5), HARMLESS],
    "optional free text": Annotated[str | None, HARMLESS],
    "a list of free text": Annotated[tuple[str, ...], HARMLESS],
    "a list of free text, the list patterned": Annotated[
        tuple[str, ...], StringConstraints(pattern="^a$"), HARMLESS
    ],
    "a mapping from free text": Annotated[dict[str, int], HARMLESS],
    "a pattern that anything fits": Annotated[str, StringConstraints(pattern="^.*$"), HARMLESS],
    "a pattern without an end": Annotated[str, StringConstraints(pattern="^[A-Za-z]+"), HARMLESS],
    "a pattern that a phone number fits": Annotated[str, StringConstraints(pattern="^[0-9+]+$"), HARMLESS],
    "a pattern that an address fits": Annotated[str, StringConstraints(pattern="^[a-z@.]+$"), HARMLESS],
    "anything": Annotated[Any, HARMLESS],
    "an object": Annotated[object, HARMLESS],
    "a bare dict": Annotated[dict, HARMLESS],
    "a bare list": Annotated[list, HARMLESS],
    "bytes": Annotated[bytes, HARMLESS],
    "a foreign model": Annotated[Loose, HARMLESS],
    "a moment without a zone": Annotated[datetime, HARMLESS],
    "a type variable": Annotated[T, HARMLESS],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNCLASSIFIED.values(), ids=UNCLASSIFIED.keys())
def test_a_field_that_is_not_classified_fails_when_it_is_declared(kind):
    """C4: there is no event with a field that nobody thought about."""
    with pytest.raises(UnclassifiedField):
        type("Careless", (Contract,), {"__annotations__": {"field": kind}, "__module__": __name__})


CLASSIFIED = {
    "an id": OrderId,
    "an enumeration": Annotated[Colour, HARMLESS],
    "constants": Annotated[Literal["a", "b"], HARMLESS],
    "a number": Annotated[int, Field(ge=0), HARMLESS],
    "a moment": Annotated[AwareDatetime | None, HARMLESS],
    "an optional form": Annotated[Union[PATTERNED, None], HARMLESS],  # noqa: UP007
    "a contract": Annotated[Place, HARMLESS],
    "contracts": Annotated[tuple[Place, ...], Field(max_length=3), HARMLESS],
    "a mapping": Annotated[dict[PATTERNED, Place | None], HARMLESS],
}


@pytest.mark.parametrize("kind", CLASSIFIED.values(), ids=CLASSIFIED.keys())
def test_a_field_of_a_closed_form_may_travel_in_clear(kind):
    """Ids, enumerations, numbers, moments, and contracts made of them."""
    type("Careful", (Contract,), {"__annotations__": {"field": kind}, "__module__": __name__})


def test_an_inherited_field_is_judged_like_an_own_one():
    """A base that is no contract brings nothing in."""
    with pytest.raises(UnclassifiedField):

        class Mixed(Place, Loose):
            pass


def test_a_contract_in_a_contract_is_judged_where_it_is_declared():
    """There is no depth at which a field escapes."""
    with pytest.raises(UnclassifiedField):

        class Outer(Contract):
            class Inner(Contract):
                note: Annotated[str, HARMLESS]

            inner: Annotated[Inner, HARMLESS]


@pytest.mark.parametrize(
    "loosened", [{"extra": "allow"}, {"strict": False}, {"frozen": False}, {"hide_input_in_errors": False}]
)
def test_a_contract_cannot_loosen_its_configuration(loosened):
    """An extra field is an unclassified one."""
    with pytest.raises(UnclassifiedField):
        type("Loosened", (Contract,), {"model_config": loosened, "__module__": __name__})


def test_a_computed_field_is_unclassified():
    """It would travel like any other."""
    with pytest.raises(UnclassifiedField):

        class Computing(Contract):
            @computed_field
            def name(self) -> str:
                return ""


@pytest.mark.parametrize(
    "kind",
    [
        str,
        Annotated[str, StringConstraints(max_length=9)],
        Annotated[str, StringConstraints(pattern="^.*$")],
        Annotated[str, StringConstraints(pattern="^[a-z]+$")],
        Annotated[str, StringConstraints(pattern=r"^[\s\S]*$", max_length=9)],
        *(Any, dict[str, str], dict, bytes, Loose, Place, object, list[str], Sealed[Address]),
    ],
)
def test_personal_data_has_a_declared_shape_and_bound_too(kind):
    """C4: what nobody needs has no field to hide in, and no text can stop a database."""
    with pytest.raises(UnclassifiedField):
        type("Anything", (PersonalData,), {"__annotations__": {"field": kind}, "__module__": __name__})


def test_an_event_that_seals_needs_a_place_for_what_it_seals():
    """Without a scope every order's value would live in the same place, and could be moved unnoticed."""
    field = {"__annotations__": {"ship_to": Annotated[Sealed[Address], DELIVERY], "order": OrderId}}
    for wrong in ({}, {"scope_field": "order"}, {"collection": "orders"}, {"scope_field": "parcel"}):
        with pytest.raises(UnclassifiedField):
            type("Homeless", (Event,), {**field, **wrong, "__module__": __name__})


def test_generic_contracts_do_not_smuggle_types():
    """A type variable is filled after the guard has looked."""
    with pytest.raises(UnclassifiedField):

        class Box(Contract, Generic[T]):
            field: Annotated[T, HARMLESS]


# --- sealed values ---


class Sent(Event):
    type: ClassVar[str] = "test.sent.v1"
    scope_field: ClassVar[str | None] = "order"
    collection: ClassVar[str] = "orders"
    order: OrderId
    ship_to: Annotated[Sealed[Address], DELIVERY]
    bill_to: Annotated[Sealed[Address] | None, DELIVERY] = None
    colour: Annotated[Colour, HARMLESS] = Colour.RED


def test_a_sealed_value_is_recognised_by_what_the_platform_seals():
    """The form that is checked and the form that is made are one."""
    sent = Sent.model_validate_json(f'{{"order":"{"0" * 32}","ship_to":"{TOKEN}"}}')
    assert sent.ship_to.token == TOKEN and sent.ship_to.kid == sent.ship_to.header["kid"]
    assert sent.model_dump_json(exclude_none=True) == (
        f'{{"order":"{"0" * 32}","ship_to":"{TOKEN}","colour":"red"}}'
    )
    assert sent.place("ship_to") == f"orders/{'0' * 32}/ship_to"


@pytest.mark.parametrize(
    "value",
    ['"5 Privet Lane"', '{"street":"5 Privet Lane"}', '""', "null", "1", '"a.b.c.d.e"', f'"{TOKEN}x"', f'" {TOKEN}"',
     f'"{TOKEN}\\n"', f'"{TOKEN[1:]}"', f'["{TOKEN}"]', '"' + TOKEN.replace("..", ".YWJj.") + '"',
     '"' + "A" * 600_000 + '"'],
)  # fmt: skip
def test_plaintext_where_a_sealed_value_belongs_is_refused_and_not_repeated(value):
    """T1: a buggy producer's plaintext is not even quoted in the reason."""
    with pytest.raises(ValidationError) as caught:
        Sent.model_validate_json(f'{{"order":"{"0" * 32}","ship_to":{value}}}')
    assert "Privet" not in str(caught.value)
    assert {error["loc"][0] for error in caught.value.errors()} == {"ship_to"}


def test_a_sealed_value_shows_nothing_of_itself():
    """Neither a log line nor a traceback gets more than the word."""
    sealed = Sealed(TOKEN)
    assert repr(sealed) == str(sealed) == "Sealed(…)"
    assert TOKEN not in repr(Sent(order="0" * 32, ship_to=sealed))


@pytest.mark.parametrize("head", ["", "e30", "bm8", "****", "eyJraWQiOjF9", "W10"])
def test_a_header_that_is_none_is_a_broken_contract(head):
    """Not an error of the reader."""
    with pytest.raises(ContractError):
        _ = Sealed(head + "..a.b.c").kid


def test_optional_sealed_values_are_sealed_values():
    """None says that there is none; anything else is sealed."""
    assert is_sealed(Sealed[Address] | None) and sealed_type(Sealed[Address] | None) is Address
    assert not is_sealed(list[Sealed[Address]]) and not is_sealed(str)
    assert set(Sent.personal_fields()) == {"ship_to", "bill_to"}


# --- the plain form ---


def test_the_plain_form_takes_the_values_and_the_event_takes_them_sealed():
    """What a storefront writes and what travels differ in nothing but the sealing."""
    plain = Sent.plain_form()
    read = plain.model_validate_json(f'{{"order":"{"0" * 32}","ship_to":{{"street":"5 Privet Lane"}}}}')
    assert read.ship_to == Address(street="5 Privet Lane") and read.bill_to is None
    clear = {name: getattr(read, name) for name in plain.model_fields if name not in Sent.personal_fields()}
    assert Sent(**clear, ship_to=TOKEN) == Sent(order="0" * 32, ship_to=Sealed(TOKEN))
    assert plain is Sent.plain_form()


@pytest.mark.parametrize("extra", ['"gift":true', '"ship_to":"x"', '"colour":"blue"', '"order":1'])
def test_the_plain_form_is_as_strict_as_the_event(extra):
    """Unknown fields, other types and repeated values are no less wrong before sealing."""
    with pytest.raises(ValidationError):
        Sent.plain_form().model_validate_json(f'{{"ship_to":{{"street":"a"}},"order":"{"0" * 32}",{extra}}}')


@pytest.mark.parametrize(
    "event", [each for topic in topics.TOPICS for each in topic.events], ids=lambda e: e.type
)
def test_every_plain_form_differs_from_its_event_in_the_sealed_fields_only(event):
    """The two contracts cannot drift: one is made from the other."""
    wire, plain = event.model_json_schema(), event.plain_form().model_json_schema()
    sealed = event.personal_fields()
    assert list(wire.get("properties", {})) == list(plain.get("properties", {}))
    for name, said in wire.get("properties", {}).items():
        assert name in sealed or said == plain["properties"][name]
        assert said["x-privacy"] == plain["properties"][name]["x-privacy"]
    assert wire.get("required") == plain.get("required")


def test_the_classification_of_an_order_is_what_the_policy_promises():
    """C2, U1: the basket for settlement, the recipient for delivery, nothing else personal."""
    assert OrderPlaced.personal_fields()["basket"].category is Category.TRANSACTION
    assert OrderPlaced.personal_fields()["ship_to"] == Personal(
        Category.LOGISTICS, Purpose.DELIVERY, DELIVERY.keep
    )
    assert set(OrderPlaced.personal_fields()) == {"basket", "ship_to"}
