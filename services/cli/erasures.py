"""Verbs about requests to be forgotten: erase, requests list, requests show, certificate."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.local import stack
from schemas.erasure import RequestState
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.gateway import Door, TokenFile, code_of, rows_of
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.kernel.ids import random_id

Subject = Annotated[str, typer.Argument(help="The customer's subject id.")]
Request = Annotated[str, typer.Argument(help="The request's id.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait so long for the certificate.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write it here instead of showing it.")]

# A request that joined an earlier one stands where that one does.
_ROWS = """
    SELECT asked.id, asked.storefront, first.state, first.progress, first.certificate <> '' AS certified,
        asked.received_at, asked.progress::jsonb ->> 'joined' AS joined
    FROM gateway.request AS asked
    JOIN gateway.request AS first ON first.id = coalesce(asked.progress::jsonb ->> 'joined', asked.id)
    WHERE $1::text IS NULL OR asked.id = $1
    ORDER BY asked.received_at DESC LIMIT $2
"""
_CERTIFICATE = """
    SELECT first.certificate
    FROM gateway.request AS asked
    JOIN gateway.request AS first ON first.id = coalesce(asked.progress::jsonb ->> 'joined', asked.id)
    WHERE asked.id = $1
"""
COLUMNS = ("request", "storefront", "state", "missing", "received")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(erase)
    app.command()(certificate)
    group = typer.Typer(help="Requests to be forgotten, of all storefronts.", no_args_is_help=True)
    group.command("list")(listing)
    group.command()(show)
    app.add_typer(group, name="requests")


def erase(
    subject: Subject,
    token_file: TokenFile = None,
    request: Annotated[
        str | None, typer.Option(help="Id of an earlier try, to repeat it; needs its salt.")
    ] = None,
    salt: Annotated[str | None, typer.Option(help="Salt of an earlier try.")] = None,
    wait: Wait = 0,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Ask, as a storefront, that a customer be forgotten. Keep the salt: it ties the certificate to the customer.

    With --wait, 5 if it is not complete in time, with the names of those who are missing.
    """
    # Ids of our own make the tries after a lost answer one request.
    wish = {"id": request or random_id(), "subject": subject, "salt": salt or random_id()}
    if dry_run:
        return output.answer({"would_ask": wish["id"]}, as_json, f"would ask to erase {subject}")
    door = Door(stack.attach(state), token_file)
    answer = door.ask("POST", "/v1/erasures", json.dumps(wish).encode())
    if not answer.is_success:
        raise Ended(Exit.REFUSED, f"the gateway refuses: {code_of(answer)}", code=code_of(answer))
    asked = answer.json()
    found = _await(door, asked["status_url"], wait)
    lines = [f"request {asked['request']}", f"salt    {asked['salt']}", _story(found)]
    output.answer({**asked, **found}, as_json, "\n".join(lines))
    if wait and found["state"] != RequestState.CERTIFIED:
        raise typer.Exit(Exit.INCOMPLETE)


def listing(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """List requests, newest first; 5 while any is not complete."""
    found = [_told(row) for row in rows_of(stack.attach(state), _ROWS, None, limit)]
    rows = (
        (each["id"], each["storefront"], each["state"], " ".join(each["missing"]), each["received_at"])
        for each in found
    )
    output.answer(found, as_json, output.table(COLUMNS, rows) if found else "none")
    if any(each["state"] != RequestState.CERTIFIED for each in found):
        raise typer.Exit(Exit.INCOMPLETE)


def show(request: Request, state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Show how far a request is: who is missing, what is kept until when. 1 if unknown, 5 while not complete."""
    rows = rows_of(stack.attach(state), _ROWS, request, 1)
    if not rows:
        raise Ended(Exit.NO, "no such request")
    found = _told(rows[0])
    output.answer(found, as_json, _story(found))
    if found["state"] != RequestState.CERTIFIED:
        raise typer.Exit(Exit.INCOMPLETE)


def certificate(
    request: Request, out: Out = None, state: State = DEFAULT_STATE, as_json: AsJson = False
) -> None:
    """Fetch the newest certificate of a request, a compact JWS; 1 if there is no such request, 5 if not issued yet."""
    rows = rows_of(stack.attach(state), _CERTIFICATE, request)
    if not rows:
        raise Ended(Exit.NO, "no such request")
    statement: str = rows[0]["certificate"]
    if not statement:
        raise Ended(Exit.INCOMPLETE, "the certificate is not issued yet")
    if out is None:
        return output.answer({"request": request, "certificate": statement}, as_json, statement)
    out.write_text(statement + "\n", encoding="ascii")
    return output.answer({"request": request, "file": str(out)}, as_json, f"certificate in {out}")


def _await(door: Door, status_url: str, seconds: float) -> dict[str, Any]:
    """Return the progress once certified, or when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = door.ask("GET", status_url).json()
        if found["state"] == RequestState.CERTIFIED or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    progress: dict[str, Any] = {
        "round": 0,
        "missing": [],
        "missing_since": None,
        "kept": [],
        "unreadable_at": None,
    }
    progress |= json.loads(row["progress"])
    return progress | {
        name: row[name] for name in ("id", "storefront", "state", "certified", "received_at", "joined")
    }


def _story(found: Mapping[str, Any]) -> str:
    lines = [f"state   {found['state']}"]
    if found["missing"]:
        lines.append(f"missing {', '.join(found['missing'])}, asked {found['missing_since']}")
    if found["unreadable_at"]:
        lines.append(f"unreadable from {found['unreadable_at']} on, but for what is kept")
    lines += [
        f"kept    {each['category']} of {each['scopes']} order(s): {each['ground']}"
        + (f" until {each['until']}" if each["until"] else "")
        for each in found["kept"]
    ]
    return "\n".join(lines)
