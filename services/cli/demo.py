"""The verb that shows everything at once: demo."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import AsJson

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
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with the days of a real shop; default: beside the checkout."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stream a real shop's orders, forget a customer, and prove it; 1 if anything does not hold.

    A platform of its own comes up and is taken down at the end.
    """
    if state is not None and state.exists() and any(state.iterdir()):
        raise Ended(Exit.REFUSED, "the demo wants an empty state directory: it counts everything in it")
    # Imported here, because every other verb would have to wait for it.
    from services.demo import run as demonstration
    from services.demo.telling import Telling

    wishes = demonstration.Wishes(out, _text(note), orders, erasures, state, keep, data or demonstration.DATA)
    telling = Telling(output.stderr if as_json else output.stdout)
    findings = demonstration.run(wishes, telling)
    verdict = "everything holds" if findings.passed else f"does not hold: {', '.join(findings.failed)}"
    where = out / demonstration.REPORT
    said = f"\n{len(findings.checks)} checks, {verdict} ({telling.elapsed_seconds:.0f} s, written to {where})"
    output.answer({"checks": findings.checks, "figures": findings.figures}, as_json, said)
    if not findings.passed:
        raise typer.Exit(Exit.NO)


def _text(path: Path | None) -> str:
    """Return the sceptic's own text: from a file, typed in, or the default."""
    if path is not None:
        return _checked(_read(path))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return DEFAULT_NOTE
    output.stdout.print("A note that travels with one parcel, any text of your own (Enter for ours):")
    return _checked(input("> ") or DEFAULT_NOTE)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Ended(Exit.USAGE, "the note is no text in UTF-8") from None


def _checked(text: str) -> str:
    stripped = text.strip()
    fits = SHORTEST <= len(stripped) <= LONGEST
    if not fits or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]", stripped):
        raise Ended(Exit.USAGE, f"a note has {SHORTEST} to {LONGEST} characters and no control characters")
    return stripped
