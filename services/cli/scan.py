"""The verb that looks everywhere for a text: scan."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from deploy.local import stack
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, State
from services.scan import Findings
from services.scan.findings import KINDS, Inside
from services.scan.needles import SHORTEST_BYTES, NeedleTooShort
from services.scan.scanning import scan

MOST_SHOWN = 50

FromStdin = Annotated[
    bool, typer.Option("--text-stdin", help="Read the texts from the standard input, one a line.")
]

Inwards = Annotated[
    bool, typer.Option("--inside", help="Open sealed values with every living key and search them, too.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="scan")(search)


def search(
    text_stdin: FromStdin = False,
    inside: Inwards = False,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """Search logs, tables, topics and files for texts; 1 if one is found, 4 if the search cannot prove itself.

    A text never stands on a command line, where every user of the machine could read it. With --inside it is also
    looked for in what sealed values say, as far as a key lives that opens them; what that opened is counted in the
    keyring (lethe keys status) under your account's name.
    """
    needles = _needles() if text_stdin else []
    if not needles:
        raise Ended(Exit.USAGE, "give the texts on the standard input: lethe scan --text-stdin < file")
    try:
        findings = scan(stack.attach(state), needles, inside=inside)
    except NeedleTooShort:
        raise Ended(Exit.USAGE, f"a text has fewer than {SHORTEST_BYTES} bytes") from None
    output.answer(_data(findings), as_json, "\n".join(_lines(findings)))
    if findings.finds:
        raise typer.Exit(Exit.NO)


def _needles() -> list[str]:
    try:
        return [line for line in sys.stdin.buffer.read().decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise Ended(Exit.USAGE, "the standard input is not UTF-8") from None


def _data(findings: Findings) -> dict[str, object]:
    return {
        "found": bool(findings.finds),
        "finds": [{**asdict(find), "text": find.needle + 1} for find in findings.finds],
        "searched": {kind: asdict(tally) for kind, tally in findings.tallies.items()},
        "vanished": findings.vanished,
        "controls": "found again in every kind of place",
        "inside": asdict(findings.inside) if findings.inside else None,
        "not_searched": list(findings.not_searched()),
    }


def _lines(findings: Findings) -> list[str]:
    lines = [
        f"FOUND  text {find.needle + 1} in {find.kind}: {find.where} ({find.form})"
        for find in findings.finds[:MOST_SHOWN]
    ]
    if len(findings.finds) > MOST_SHOWN:
        lines.append(f"… and {len(findings.finds) - MOST_SHOWN} more")
    lines += [
        "nothing found" if not findings.finds else "",
        "",
        "Searched, after the control was found again in each:",
    ]
    for kind, tally in findings.tallies.items():
        lines.append(f"  {tally.places:6} × {kind:14} {tally.bytes / 1e6:9.1f} MB  {KINDS[kind]}")
    lines += [f"  {findings.vanished} files vanished meanwhile"] if findings.vanished else []
    lines += _inside_lines(findings.inside) if findings.inside else []
    return [*lines, "Not searched:", *(f"  - {each}" for each in findings.not_searched())]


def _inside_lines(inside: Inside) -> list[str]:
    keys = (
        "every living key" if inside.every_key_tried else "only the key that each names: there are too many"
    )
    counts = {
        "opened and searched": inside.opened,
        "not opened: the key is destroyed": inside.dead,
        "not opened: the key was never in this keyring": inside.foreign,
        "not opened: damaged": inside.damaged,
        "pieces of values": inside.pieces,
        "living keys that do not unwrap": inside.broken_keys,
    }
    lines = ["", f"{inside.values} sealed values, tried with {keys} ({inside.keys}):"]
    return [*lines, *(f"  {count:6} {what}" for what, count in counts.items() if count), ""]
