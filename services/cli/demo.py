"""The verb that shows everything at once: demo."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import AsJson
from services.demo.run import DATA, REPORT, Wishes, run
from services.demo.telling import Telling

DEFAULT_NOTE = (
    "Please leave the cake with the neighbour in the blue house; grandmother must not see it before Sunday."
)
SHORTEST, LONGEST = 12, 500
"""A shorter text could be found by chance; a longer one does not fit on a label."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)


def demo(
    orders: Annotated[
        int | None,
        typer.Option(min=20, help="How many orders to stream; more than the files have are made up."),
    ] = None,
    erasures: Annotated[
        int, typer.Option(min=0, help="How many more people to forget while orders come in.")
    ] = 20,
    note: Annotated[
        Path | None, typer.Option("--note", exists=True, dir_okay=False, help="File with a text of your own.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Where findings, certificate and public keys go.")
    ] = Path("build"),
    state: Annotated[
        Path | None, typer.Option("--state", help="An empty directory; a fresh one without it.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the state directory for a look at it.")] = False,
    data: Annotated[Path, typer.Option("--data", help="Folder with the days of a real shop.")] = DATA,
    as_json: AsJson = False,
) -> None:
    """Stream a real shop's orders, forget a customer, and prove it; 1 if anything does not hold.

    A platform of its own comes up and is taken down at the end.
    """
    if state is not None and state.exists() and any(state.iterdir()):
        raise Ended(Exit.REFUSED, "the demo wants an empty state directory: it counts everything in it")
    wishes = Wishes(out, _text(note), orders, erasures, state, keep, data)
    telling = Telling(output.stderr if as_json else output.stdout)
    findings = run(wishes, telling)
    data_found = {"checks": findings.checks, "figures": findings.figures}
    verdict = "everything holds" if findings.passed else f"does not hold: {', '.join(findings.failed)}"
    told = f"\n{len(findings.checks)} checks, {verdict}; written to {out / REPORT} ({telling.elapsed_seconds:.0f} s)"
    output.answer(data_found, as_json, told)
    if not findings.passed:
        raise typer.Exit(Exit.NO)


def _text(path: Path | None) -> str:
    """Return the sceptic's own text: from a file, typed in, or the default."""
    if path is not None:
        return _checked(path.read_text("utf-8", "replace"))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return DEFAULT_NOTE
    output.stdout.print("A note that travels with one parcel, any text of your own (Enter for ours):")
    return _checked(input("> ") or DEFAULT_NOTE)


def _checked(text: str) -> str:
    stripped = text.strip()
    fits = SHORTEST <= len(stripped) <= LONGEST
    if not fits or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]", stripped):
        raise Ended(Exit.USAGE, f"a note has {SHORTEST} to {LONGEST} characters and no control characters")
    return stripped
