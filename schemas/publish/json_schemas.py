"""JSON Schema (2020-12) of every event as it travels, and as a storefront submits it before it is sealed."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from schemas.matrix import ALL_TOPICS
from schemas.privacy import Event
from schemas.topics import REQUESTS, written_by

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]


class Untitled(GenerateJsonSchema):
    """Without a title for each field: it would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def events() -> tuple[type[Event], ...]:
    """Return every event of the platform once, in the order of the access matrix."""
    return tuple(dict.fromkeys(event for topic in ALL_TOPICS for event in topic.events))


def submitted() -> tuple[type[Event], ...]:
    """Return the events that storefronts submit unsealed."""
    about_people = [topic for topic in written_by("gateway") if topic.subject_keyed]
    return tuple(event for topic in about_people if topic is not REQUESTS for event in topic.events)


def wire_form(event: type[Event]) -> Json:
    """Return the schema of a record's value."""
    return {"$schema": DIALECT, **event.model_json_schema(schema_generator=Untitled), "title": event.type}


def intake_form(event: type[Event]) -> Json:
    """Return the schema of an event's data before sealing."""
    schema = event.plain_form().model_json_schema(schema_generator=Untitled)
    return {"$schema": DIALECT, **schema, "title": f"{event.type} as submitted"}


def components(models: Iterable[type[BaseModel]]) -> Json:
    """Return the schemas of the models and of what they refer to, by name, for one document."""
    _, definitions = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=Untitled,
    )
    named: Json = definitions.get("$defs", {})
    return named
