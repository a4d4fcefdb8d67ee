"""Verb about what a worker may do: show."""

from importlib import import_module
from inspect import getdoc
from typing import Annotated

import typer

from deploy.settings import process_of
from schemas import matrix
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import AsJson


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(show)


def show(
    worker: Annotated[str, typer.Argument(help="A principal, as `orders`.")], as_json: AsJson = False
) -> None:
    """Show what a worker reads, writes, opens and keeps, as the access matrix and its own folder declare it."""
    try:
        process = process_of(worker)
    except KeyError:
        raise Ended(Exit.USAGE, "no worker is called that") from None
    says = getdoc(import_module(process.module)) or ""
    rights = dict(matrix.lines(matrix.card(process.principal)))
    table = output.table(("", ""), rights.items())
    output.answer({"worker": process.principal, "says": says, **rights}, as_json, says)
    if not as_json:
        output.answer(rights, False, table)
