"""Verb about what a worker may do: show."""

from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from deploy.local.layout import Identity, Layout
from deploy.settings import process_of
from schemas import matrix
from schemas.topics import CLICKS
from services.cli import collected, output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, State


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(show)


def show(
    worker: Annotated[str, typer.Argument(help="A principal, as `orders`.")],
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """Show what a worker reads, writes, opens and keeps, as the access matrix and its own folder declare it.

    Of clickstream also what is collected of visitors and what is not, by the settings of the platform if there is one.
    """
    try:
        process = process_of(worker)
    except KeyError:
        raise Ended(Exit.USAGE, "no worker is called that") from None
    says = getdoc(import_module(process.module)) or ""
    rights = dict(matrix.lines(matrix.card(process.principal)))
    counts = {"collects": _collected(state)} if process.principal in CLICKS.readers else {}
    if as_json:
        return output.answer({"worker": process.principal, "says": says, **rights, **counts}, True, "")
    parts: list[RenderableType] = [Text(says), output.table(("", ""), rights.items())]
    return output.answer({}, False, Group(*parts, *map(collected.in_words, counts.values())))


def _collected(state: Path) -> dict[str, Any]:
    layout = Layout.at(state)
    return collected.statement(Identity.load(layout).settings if layout.exists else {})
