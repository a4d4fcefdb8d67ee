"""Verbs about who may call the gateway: storefronts add, storefronts revoke, storefronts list."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.local import stack
from schemas.ids import NAME_FORM
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.gateway import rows_of
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.gateway.tokens import STALE_SECONDS, digest_of, new_token

Name = Annotated[str, typer.Argument(help="Id of the storefront, such as bookshop.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="Write the token here, mode 0600, instead of showing it.")
]

# A revoked storefront may come back, with a new token; its customers are still its own.
_ADD = """
    INSERT INTO gateway.storefront (id, token_sha256) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET token_sha256 = excluded.token_sha256, added_at = now(), revoked_at = NULL
    WHERE storefront.revoked_at IS NOT NULL
    RETURNING id, added_at
"""
_REVOKE = "UPDATE gateway.storefront SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id"
_LIST = "SELECT id, added_at, revoked_at FROM gateway.storefront ORDER BY id"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Who may call the gateway.", no_args_is_help=True)
    group.command()(add)
    group.command()(revoke)
    group.command("list")(show)
    app.add_typer(group, name="storefronts")


def add(
    name: Name,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Let a storefront in. Its token is shown once, or written to a file; only its SHA-256 is kept."""
    if not re.fullmatch(NAME_FORM, name):
        raise Ended(Exit.USAGE, f"a storefront's id has the form {NAME_FORM}")
    platform = stack.attach(state)
    token = new_token()
    added = rows_of(platform, _ADD, name, digest_of(token.encode()), undo=dry_run)
    if not added:
        raise Ended(Exit.REFUSED, f"{name} has a token already; revoke it first", code="storefront-exists")
    if dry_run:
        return output.answer({"would_add": name}, as_json, f"would add {name}")
    if token_file is not None:
        _write(token_file, token)
        return output.answer(
            {"storefront": name, "token_file": str(token_file)}, as_json, f"token in {token_file}"
        )
    output.say("the token is shown this once and kept nowhere:")
    return output.answer({"storefront": name, "token": token}, as_json, token)


def revoke(
    name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Let a storefront in no longer, within five seconds; 1 if it was not in."""
    revoked = rows_of(stack.attach(state), _REVOKE, name, undo=dry_run)
    done = "would be revoked" if dry_run else f"revoked, refused within {STALE_SECONDS + 1:.0f} seconds"
    output.answer(
        {"revoked": bool(revoked) and not dry_run}, as_json, done if revoked else "no such storefront"
    )
    if not revoked:
        raise typer.Exit(Exit.NO)


def show(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List the storefronts, revoked ones included."""
    rows: list[dict[str, Any]] = rows_of(stack.attach(state), _LIST)
    table = output.table(("storefront", "added", "revoked"), (row.values() for row in rows))
    output.answer(rows, as_json, table if rows else "none")


def _write(path: Path, token: str) -> None:
    # Created closed, never opened wider than it will stay.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o600)
        file.write(token + "\n")
