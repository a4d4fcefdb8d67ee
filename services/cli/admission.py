"""What the verbs that hand out tokens share: who may send (storefronts), who may read (insights)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.local import stack
from schemas.ids import NAME_FORM
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.gateway import rows_of
from services.kernel.http.doorkeeper import digest_of, new_token
from services.kernel.http.recent import STALE_SECONDS

Name = Annotated[str, typer.Argument(help="Id of the storefront, such as bookshop.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="Write the token here, mode 0600, instead of showing it.")
]

# Who was revoked may come back, with a new token.
_ADD = """
    INSERT INTO {table} AS known (id, token_sha256) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET token_sha256 = excluded.token_sha256, added_at = now(), revoked_at = NULL
    WHERE known.revoked_at IS NOT NULL
    RETURNING id, added_at
"""
_REVOKE = "UPDATE {table} SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id"
_LIST = "SELECT id, added_at, revoked_at FROM {table} ORDER BY id"


@dataclass(frozen=True)
class Admission:
    """One token for each storefront, in one table of one process; only its SHA-256 is kept."""

    process: str
    table: str
    taken: str
    """Code of the refusal of a second token."""

    def add(self, state: Path, name: str, token_file: Path | None, *, as_json: bool, dry_run: bool) -> None:
        """Let a storefront in and show its token once, or write it to a file."""
        if not re.fullmatch(NAME_FORM, name):
            raise Ended(Exit.USAGE, f"a storefront's id has the form {NAME_FORM}")
        token = new_token()
        added = self._rows(state, _ADD, name, digest_of(token.encode()), undo=dry_run)
        if not added:
            raise Ended(Exit.REFUSED, f"{name} has a token already; revoke it first", code=self.taken)
        if dry_run:
            return output.answer({"would_add": name}, as_json, f"would add {name}")
        if token_file is not None:
            _write(token_file, token)
            return output.answer(
                {"storefront": name, "token_file": str(token_file)}, as_json, f"token in {token_file}"
            )
        output.say("the token is shown this once and kept nowhere:")
        return output.answer({"storefront": name, "token": token}, as_json, token)

    def revoke(self, state: Path, name: str, *, as_json: bool, dry_run: bool) -> None:
        """Let a storefront in no longer, within five seconds; 1 if it was not in."""
        revoked = self._rows(state, _REVOKE, name, undo=dry_run)
        done = "would be revoked" if dry_run else f"revoked, refused within {STALE_SECONDS + 1:.0f} seconds"
        output.answer(
            {"revoked": bool(revoked) and not dry_run}, as_json, done if revoked else "no such storefront"
        )
        if not revoked:
            raise typer.Exit(Exit.NO)

    def show(self, state: Path, *, as_json: bool) -> None:
        """List who was let in, revoked ones included."""
        rows = self._rows(state, _LIST)
        table = output.table(("storefront", "added", "revoked"), (row.values() for row in rows))
        output.answer(rows, as_json, table if rows else "none")

    def _rows(self, state: Path, sql: str, *arguments: object, undo: bool = False) -> list[dict[str, Any]]:
        statement = sql.format(table=self.table)
        return rows_of(stack.attach(state), statement, *arguments, undo=undo, process=self.process)


def _write(path: Path, token: str) -> None:
    # Created closed, never opened wider than it will stay.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o600)
        file.write(token + "\n")
