"""Verbs about key-encrypting keys: keys status, keys rotate."""

import time
from typing import Annotated, Any

import httpx
import typer

from deploy.local import stack
from schemas.privacy import Category
from schemas.topics import OPERATOR
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

ROTATION_SECONDS = 120
"""How long `rotate` waits for old versions to die."""
KEK_COLUMNS = ("category", "version", "state", "live_keys")
PENDING = ("retiring", "destroying")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Key-encrypting keys: versions, rotation, openings.", no_args_is_help=True)
    group.command()(status)
    group.command()(rotate)
    app.add_typer(group, name="keys")


def status(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Show KEK versions, and openings counted by worker, category and purpose; 1 while an old version lives."""
    platform = stack.attach(state)
    found = {**_ask(platform, "GET", "/v1/keks"), **_ask(platform, "GET", "/v1/openings")}
    output.answer(found, as_json, _table(found["keks"], *KEK_COLUMNS))
    if not as_json and found["openings"]:
        output.answer([], False, _table(found["openings"], *found["openings"][0]))
    if _pending(found["keks"]):
        raise typer.Exit(Exit.NO)


def rotate(
    category: Annotated[Category | None, typer.Option(help="Only this category; all without it.")] = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Wrap every living key anew and destroy the old versions, and with them every stale copy of a dead key.

    Waits until the old versions are gone; 5 if they are not in time (the rotation goes on).
    """
    platform = stack.attach(state)
    before = _primaries(platform, category)
    if not dry_run:
        _replace(platform, category, before)
    found = _ask(platform, "GET", "/v1/keks")
    output.answer(found, as_json, _table(found["keks"], *KEK_COLUMNS))


def _replace(platform: stack.Stack, category: Category | None, before: dict[str, int]) -> None:
    """Return when every chosen category has a newer version and nothing older lives; asks until each has begun."""
    deadline = time.monotonic() + ROTATION_SECONDS
    while time.monotonic() < deadline:
        keks = [
            kek for kek in _ask(platform, "GET", "/v1/keks")["keks"] if category in (None, kek["category"])
        ]
        renewed = _primaries(platform, category)
        old = [name for name, version in before.items() if renewed[name] <= version]
        for name in old:
            _ask(platform, "POST", "/v1/keks/rotations", {"category": name})
        if not old and not _pending(keks):
            return
        time.sleep(0.2)
    raise Ended(Exit.INCOMPLETE, "old versions of the key-encrypting keys still live")


def _primaries(platform: stack.Stack, category: Category | None) -> dict[str, int]:
    keks = _ask(platform, "GET", "/v1/keks")["keks"]
    chosen = [kek for kek in keks if kek["state"] == "primary" and category in (None, kek["category"])]
    return {kek["category"]: kek["version"] for kek in chosen}


def _pending(keks: list[dict[str, Any]]) -> bool:
    return any(kek["state"] in PENDING for kek in keks)


def _ask(platform: stack.Stack, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    token = platform.keyring_token(OPERATOR).get_secret_value()
    try:
        answer = httpx.request(
            method,
            platform.keyring_url + path,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
    except httpx.HTTPError as error:
        raise Ended(Exit.UNAVAILABLE, "the keyring cannot be reached", error=type(error).__name__) from None
    found: dict[str, Any] = answer.json()
    if answer.status_code >= 500:
        raise Ended(Exit.UNAVAILABLE, "the keyring does not serve yet", code=found.get("error"))
    if answer.status_code >= 400:
        raise Ended(Exit.REFUSED, "the keyring refuses", code=found.get("error"))
    return found


def _table(rows: list[dict[str, Any]], *columns: str) -> object:
    return output.table(columns, ([row[column] for column in columns] for row in rows)) if rows else "none"
