"""The verb publish: a storefront's events from a file to the gateway."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from deploy.local import stack
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.gateway import Door, TokenFile, code_of
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.gateway.refusals import Reason, Refusal
from services.gateway.submission import parsed, read_body

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 1024 * 1024
MOST_SHOWN = 20

Source = Annotated[
    Path,
    typer.Argument(
        help="One event, an array, or one event per line; - is the standard input.", allow_dash=True
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(publish)


@dataclass
class Tally:
    """What became of the events, by their number in the file, from 1."""

    accepted: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, reason: dict[str, Any] | None) -> None:
        if reason is None:
            self.accepted += 1
        else:
            self.refused.append({"event": number, **reason})


def publish(
    source: Source,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Send events as a storefront. What breaks its contract is not even sent; 3 if any was refused.

    Publishing the same file again changes nothing: an event is known by its id.
    """
    tally = Tally()
    batches = _batches(_events(_content(source)), tally)
    if dry_run:
        tally.accepted = sum(len(batch) for batch in batches)
    else:
        door = Door(stack.attach(state), token_file)
        for batch in batches:
            _send(door, batch, tally)
    said = "would be sent" if dry_run else "accepted"
    output.answer(
        {said.replace(" ", "_"): tally.accepted, "refused": tally.refused},
        as_json,
        "\n".join([f"{tally.accepted} {said}, {len(tally.refused)} refused", *_lines(tally)]),
    )
    if tally.refused:
        raise typer.Exit(Exit.REFUSED)


def _content(source: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    except OSError as error:
        raise Ended(Exit.USAGE, "the file cannot be read", error=type(error).__name__) from None


def _events(content: bytes) -> Iterator[bytes]:
    """Yield the JSON of each event, as the file has it."""
    if content.lstrip().startswith(b"["):
        try:
            yield from (orjson.dumps(event) for event in parsed(content, len(content)))
        except Refusal as refusal:
            raise Ended(
                Exit.REFUSED, f"the file is refused: {refusal.code}", code=str(refusal.code)
            ) from None
        return
    lines = [line for line in content.splitlines() if line.strip()]
    by_line = all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines)
    yield from lines if by_line else [content]


def _batches(events: Iterator[bytes], tally: Tally) -> Iterator[list[tuple[int, bytes]]]:
    """Yield events that keep their contract, numbered; tally the others."""
    batch: list[tuple[int, bytes]] = []
    size_bytes = 0
    for number, event in enumerate(events, start=1):
        reason = _fault(event)
        if reason is not None:
            tally.add(number, reason.body())
            continue
        if batch and (len(batch) == BATCH_EVENTS or size_bytes + len(event) > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append((number, event))
        size_bytes += len(event)
    if batch:
        yield batch


def _fault(event: bytes) -> Reason | None:
    """Return why the gateway would refuse this event whatever it knows."""
    try:
        _, read = read_body(event)
        (found,) = read
    except Refusal as refusal:
        return refusal.reason
    return found if isinstance(found, Reason) else None


def _send(door: Door, batch: list[tuple[int, bytes]], tally: Tally) -> None:
    answer = door.ask("POST", "/v1/events", b"[" + b",".join(event for _, event in batch) + b"]")
    if not answer.is_success:
        raise Ended(Exit.REFUSED, f"the gateway refuses: {code_of(answer)}", code=code_of(answer))
    for (number, _), result in zip(batch, answer.json()["results"], strict=True):
        reason = {name: result[name] for name in ("code", "field") if name in result}
        tally.add(number, None if result["status"] == 202 else reason)


def _lines(tally: Tally) -> Iterator[str]:
    for each in tally.refused[:MOST_SHOWN]:
        yield f"  event {each['event']}: {each['code']} {each.get('field', '')}".rstrip()
    if len(tally.refused) > MOST_SHOWN:
        yield f"  … and {len(tally.refused) - MOST_SHOWN} more"
