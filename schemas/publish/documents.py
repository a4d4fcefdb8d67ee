"""The files of `schemas/published`, by their paths in it. Pure: who calls this decides where they go."""

import json

from schemas.publish.asyncapi import document
from schemas.publish.json_schemas import Json, events, intake_form, submitted, wire_form


def documents() -> dict[str, str]:
    """Return the text of every published file by its relative path."""
    files = {"asyncapi.json": document()}
    files |= {f"events/{event.type}.json": wire_form(event) for event in events() if not event.valueless}
    files |= {f"intake/{event.type}.json": intake_form(event) for event in submitted()}
    return {path: _text(content) for path, content in files.items()}


def _text(content: Json) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
