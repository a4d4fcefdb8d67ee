"""Where a sealed value logically lives: `<collection>/<id>/<field>`, whoever carries it at the moment.

The place is authenticated with the value, so a value moved to another order or another field no longer opens,
while dead letters, replays and re-keyed topics (which change partition and offset, not the place) open as
ever.
"""

import re
from typing import NewType

Place = NewType("Place", str)

PLACE_LENGTH = 200
# No character of a place is ever escaped in JSON: one place has exactly one header.
PLACE_FORM = re.compile(r"[a-z][a-z0-9_.-]*/[A-Za-z0-9_-]+/[a-z][a-z0-9_]*")


def place(collection: str, identity: str, field: str) -> Place:
    """Return the place of one field of one thing; raise `ValueError` for a part that no place can hold."""
    return checked(f"{collection}/{identity}/{field}")


def checked(text: str) -> Place:
    """Return the text as a place; raise `ValueError` when it is not the form of one."""
    if len(text) > PLACE_LENGTH or not PLACE_FORM.fullmatch(text):
        raise ValueError("not a place")
    return Place(text)
