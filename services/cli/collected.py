"""What is collected of visitors and what is not, in words that come from the contracts, the door and the settings.

Nobody keeps a second list: kinds and reasons are the contracts' own, names are those that the door compares with.
"""

import ast
import inspect
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from textwrap import dedent
from typing import Any

from rich.console import Group
from rich.text import Text

from schemas.clicks import CROWD, LEAST_CROWD, Cell, CellsSeen, Kind
from schemas.privacy import Clear
from schemas.scrubbed import Scrubbed
from schemas.topics import CLICKS, STATISTICS
from services.cli import output
from services.gateway.clicks.vocabulary import CALLS, IDENTITY, REFUSED

REFUSALS = (
    "the page's own switch: the snippet sends nothing at all",
    "the header `Sec-GPC: 1`: whatever is sent is answered with 204, not read, not kept, and counted as one refusal",
    "the header `DNT: 1`: likewise",
)
NEVER = (
    "no cookie, no storage in the browser, no identifier of a visitor, a session or a device",
    "no address, no user agent: both are in the gateway's memory for one call, then gone",
    "no account, no order, no checkout, no form",
    "no exact time: the hour, also in the record's own timestamp",
    "no link between two things that one visitor did: another cell, window or day has another tag",
)
TAG_KEY = "the key of all tags is in memory and in one unlogged row only, and dies at the next midnight (UTC)"


def statement(chosen: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return everything, for a program; `chosen` are the settings of a platform, by worker."""
    crowd = int(chosen.get("clickstream", {}).get("crowd") or CROWD)
    hourly = json.loads(chosen.get("gateway", {}).get("hourly") or "[]")
    kinds = json.loads(chosen.get("clickstream", {}).get("kinds") or "null")
    return {
        "counted": [
            {"kind": kind, "what": what, "by": "hour" if kind in hourly else "day"}
            for kind, what in meanings(Kind).items()
            if kinds is None or kind in kinds
        ],
        "travels": [
            {"field": name, "why": why}
            for contract in (CellsSeen, Cell)
            for name, why in _reasons(contract).items()
        ],
        "crowd": crowd,
        "least_crowd": LEAST_CROWD,
        "kept_days": {topic.name: (topic.keep or timedelta()).days for topic in (CLICKS, STATISTICS)},
        "tag_key": TAG_KEY,
        "refusals": list(REFUSALS),
        "refused_by_name": _by_reason(REFUSED),
        "dropped_calls": sorted(CALLS),
        "dropped_fields": sorted(IDENTITY, key=str.lower),
        "scrubbed_from_searches": list(Scrubbed),
        "never": list(NEVER),
    }


def in_words(said: Mapping[str, Any]) -> Group:
    """Return the statement for a person."""
    counted = ((each["kind"], each["by"], each["what"]) for each in said["counted"])
    travels = ((each["field"], each["why"]) for each in said["travels"])
    kept = ", ".join(f"{topic} {days} days" for topic, days in said["kept_days"].items())
    return Group(
        _heading("What is counted", "each visitor once per cell and window"),
        output.table(("kind", "by", "what it is"), counted),
        _heading("What is published", f"what {said['crowd']} visitors or more did"),
        f"  rounded down to a multiple of {said['crowd']}; no setting makes that fewer than {said['least_crowd']}",
        "  all else is one number per shop and day, one digit of it; "
        f"nobody can read a cell of fewer than {said['crowd']}",
        f"  kept: {kept}; {said['tag_key']}",
        _heading("What travels", "of every click"),
        output.table(("field", "harmless, because"), travels),
        _heading("What is never collected"),
        *_items(said["never"]),
        _heading("Whoever refuses"),
        *_items(said["refusals"]),
        _heading("Refused by name at the door"),
        *_items(f"{why}: {', '.join(names)}" for why, names in said["refused_by_name"].items()),
        _heading("Calls and fields that are dropped", "counted by name, not read"),
        *_items([", ".join(said["dropped_calls"]), ", ".join(said["dropped_fields"])]),
        _heading(
            "Searches become a placeholder where one of these is found", "names are not found by any pattern"
        ),
        *_items([", ".join(said["scrubbed_from_searches"])]),
    )


def _heading(text: str, more: str = "") -> Text:
    return Text.assemble("\n", (text, "bold"), f": {more}" if more else "")


def _items(lines: Iterable[str]) -> Iterator[Text]:
    return (Text(f"  {line}") for line in lines)


def meanings(enumeration: type[StrEnum]) -> dict[str, str]:
    """Return what each member means: the text that stands under it in its source."""
    (definition,) = ast.parse(dedent(inspect.getsource(enumeration))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for member, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            (name,) = (each.id for each in member.targets if isinstance(each, ast.Name))
            found[enumeration[name].value] = str(ast.literal_eval(below.value)).rstrip(".")
    return found


def _reasons(contract: type[CellsSeen] | type[Cell]) -> dict[str, str]:
    marks = {
        name: next(mark for mark in field.metadata if isinstance(mark, Clear))
        for name, field in contract.model_fields.items()
    }
    return {name: mark.why for name, mark in marks.items()}


def _by_reason(names: Mapping[str, StrEnum]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, why in names.items():
        found[why.value].append(name)
    return {why: sorted(each, key=str.lower) for why, each in found.items()}
