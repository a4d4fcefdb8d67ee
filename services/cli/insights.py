"""Verbs about who may read a shop's statistics: insights add, insights revoke, insights list."""

import typer

from services.cli.admission import Admission, Name, TokenFile
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

# Apart from the storefronts' own tokens: whoever may read numbers can still not place an order.
READERS = Admission("insights", "insights.reader", taken="reader-exists")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Who may read a shop's statistics.", no_args_is_help=True)
    group.command()(add)
    group.command()(revoke)
    group.command("list")(show)
    app.add_typer(group, name="insights")


def add(
    name: Name,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Make the token that reads a shop's statistics, over the API or signed in at the page. It is shown once."""
    READERS.add(state, name, token_file, as_json=as_json, dry_run=dry_run)


def revoke(
    name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Refuse a shop's reading token, and whoever signed in with it, within five seconds; 1 if it had none."""
    READERS.revoke(state, name, as_json=as_json, dry_run=dry_run)


def show(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List the shops whose statistics may be read, revoked ones included."""
    READERS.show(state, as_json=as_json)
