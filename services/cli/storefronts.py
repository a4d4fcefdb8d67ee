"""Verbs about who may call the gateway: storefronts add, storefronts revoke, storefronts list."""

import typer

from services.cli.admission import Admission, Name, TokenFile
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

# A revoked storefront that comes back finds its customers still its own.
STOREFRONTS = Admission("gateway", "gateway.storefront", taken="storefront-exists")


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
    STOREFRONTS.add(state, name, token_file, as_json=as_json, dry_run=dry_run)


def revoke(
    name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Let a storefront in no longer, within five seconds; 1 if it was not in."""
    STOREFRONTS.revoke(state, name, as_json=as_json, dry_run=dry_run)


def show(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List the storefronts, revoked ones included."""
    STOREFRONTS.show(state, as_json=as_json)
