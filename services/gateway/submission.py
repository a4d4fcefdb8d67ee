"""What a storefront may submit, and how its bytes become that. Pure.

The accepted forms are derived from the access matrix: every event of a topic that the gateway writes for storefronts,
in its plain form, inside the attributes that a storefront chooses (id, type, subject, time).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ValidationError, create_model
from pydantic_core import PydanticCustomError

from schemas import topics
from schemas.envelope import to_the_hour
from schemas.errors import ContractError
from schemas.ids import EventId, SubjectId
from schemas.privacy import Category, Contract, Event
from schemas.strict_json import names_each_key_once, parse, violation
from services.gateway.refusals import Code, Reason, Refusal

BODY_BYTES = 8 * 1024 * 1024
EVENT_BYTES = 256 * 1024
"""Largest event, as JSON without insignificant white space."""
MOST_EVENTS = 1_000
"""Most events in one body."""


def _hour(moment: datetime) -> datetime:
    """Return the start of the hour; refuse what no shop's clock says."""
    if not 2000 <= moment.year < 3000:
        raise PydanticCustomError("time-out-of-range", "not a time of this platform")
    return to_the_hour(moment)


Hour = Annotated[AwareDatetime, AfterValidator(_hour)]
"""Truncated as soon as it is read: the exact time of a person's act travels sealed or not at all."""


@dataclass(frozen=True)
class Form:
    """How one event type is submitted, and where it goes."""

    event: type[Event]
    topic: str
    model: type[BaseModel]

    @cached_property
    def clear(self) -> tuple[str, ...]:
        """Fields that travel as they are."""
        return tuple(name for name in self.event.model_fields if name not in self.sealed)

    @cached_property
    def sealed(self) -> dict[str, Category]:
        """Fields that travel sealed, and the category of the key they are sealed under."""
        return {name: personal.category for name, personal in self.event.personal_fields().items()}

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The keys that one event needs: two fields of a category share one."""
        return tuple(dict.fromkeys(self.sealed.values()))


@dataclass(frozen=True, slots=True, repr=False)
class Submission:
    """One event that keeps its contract, not sealed yet; its repr says nothing of it."""

    form: Form
    id: str
    subject: str
    scope: str
    hour: datetime | None
    plain: BaseModel


def _forms() -> dict[str, Form]:
    """Return the accepted forms by event type: what is about a person, but for the wish to be forgotten."""
    about_people = [topic for topic in topics.written_by("gateway") if topic.subject_keyed]
    taken = [topic for topic in about_people if topic is not topics.REQUESTS]
    return {event.type: Form(event, topic.name, _model(event)) for topic in taken for event in topic.events}


def _model(event: type[Event]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "id": (EventId, ...),
        "type": (Literal[event.type], ...),
        "subject": (SubjectId, ...),
        "time": (Hour | None, None),
        "data": (event.plain_form(), ...),
    }
    return create_model(
        f"{event.__name__}Submission", __config__=Contract.model_config, __doc__=event.__doc__, **fields
    )


FORMS = _forms()
_FAMILIES = frozenset(name.rpartition(".")[0] for name in FORMS)


def read_body(body: bytes) -> tuple[bool, Iterator[Submission | Reason]]:
    """Return whether the body was a single event, and each event or why it is refused, in order.

    Raises `Refusal` where the body as a whole cannot be taken; at the latest once all events were read.
    """
    content = _loaded(body)
    if not isinstance(content, list):
        return True, _read_all(body, (content,))
    if not 0 < len(content) <= MOST_EVENTS:
        parsed(body)
        raise Refusal(Code.TOO_MANY_EVENTS if content else Code.NO_EVENTS)
    return False, _read_all(body, content)


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    return parsed(body)


def _written(content: Any, body: bytes) -> bytes:
    """Return a value as JSON without white space: it neither counts nor hides anything."""
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        pass
    # What was read from JSON can be written again, unless it is nested very deeply.
    parsed(body)
    raise Refusal(Code.INTERNAL)


def _read_all(body: bytes, contents: Sequence[Any]) -> Iterator[Submission | Reason]:
    """Yield what each event is; in the end raise `Refusal` where the body leaves anything open to interpretation.

    An event that keeps its contract has the depth and the numbers of its model. What is left to find out about a body
    of such events is whether a key stands in it twice; any other body is looked at from all sides.
    """
    colons, kept = 0, True
    for content in contents:
        # Also so that no second parser reads the body's own bytes, and something else in them.
        encoded = _written(content, body)
        colons += encoded.count(b":")
        read = _read(content, encoded)
        kept = kept and isinstance(read, Submission)
        yield read
    if not kept or not names_each_key_once(body, colons):
        parsed(body)


def parsed(body: bytes, most_bytes: int = BODY_BYTES) -> Any:
    """Return the JSON of a body; raise `Refusal` (400) for what is ambiguous or no JSON."""
    try:
        return parse(body, most_bytes)
    except ContractError as error:
        refusal = Refusal(error.code, status=400)
    raise refusal


def _read(content: Any, encoded: bytes) -> Submission | Reason:
    """Return the event; `encoded` is its JSON without white space."""
    if not isinstance(content, dict):
        return Reason(Code.NOT_AN_OBJECT)
    name = content.get("type")
    form = FORMS.get(name) if isinstance(name, str) else None
    if form is None:
        return _unknown(name)
    if len(encoded) > EVENT_BYTES:
        return Reason(Code.EVENT_TOO_LARGE)
    try:
        read: Any = form.model.__pydantic_validator__.validate_json(encoded)
    except ValidationError as error:
        return Reason(*violation(error, form.model))
    scope = getattr(read.data, form.event.scope_field or "order")
    return Submission(form, read.id, read.subject, scope, read.time, read.data)


def _unknown(name: Any) -> Reason:
    if name is None:
        return Reason("missing", "type")
    if isinstance(name, str) and name.rpartition(".")[0] in _FAMILIES:
        return Reason(Code.VERSION_UNKNOWN, "type")
    return Reason(Code.TYPE_UNKNOWN, "type")
