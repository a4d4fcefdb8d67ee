"""Verbs about what shops say of their pages: sites set, sites show, sites list, sites remove."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from deploy.local import stack
from schemas.errors import ContractError
from schemas.strict_json import parse, violation
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.gateway import rows_of
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.gateway.clicks.site import Site
from services.kernel.http.recent import STALE_SECONDS

MOST_BYTES = 16 * 1024 * 1024

Name = Annotated[str, typer.Argument(help="Id of the storefront, such as bookshop.")]
File = Annotated[Path, typer.Option("--file", help="JSON file with origins, routes, products, interactions.")]

_SET = """
    INSERT INTO gateway.site (storefront, version, document) VALUES ($1, nextval('gateway.site_version'), $2)
    ON CONFLICT (storefront) DO UPDATE SET version = excluded.version, document = excluded.document, set_at = now()
    RETURNING storefront, set_at
"""
_SHOW = "SELECT document FROM gateway.site WHERE storefront = $1"
_LIST = "SELECT storefront, document, set_at FROM gateway.site ORDER BY storefront"
_REMOVE = "DELETE FROM gateway.site WHERE storefront = $1 RETURNING storefront"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="What may be counted of a shop's pages.", no_args_is_help=True)
    group.command("set")(put)
    group.command()(show)
    group.command("list")(listed)
    group.command()(remove)
    app.add_typer(group, name="sites")


def put(
    name: Name, file: File, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Say what may be counted of a shop's pages, in place of what was said before."""
    site = read(name, file)
    rows_of(stack.attach(state), _SET, name, site.model_dump_json(), undo=dry_run)
    told = "would be counted" if dry_run else f"counted within {STALE_SECONDS + 1:.0f} seconds"
    summary = _summary(site)
    output.answer(
        {"storefront": name, "set": not dry_run, **summary},
        as_json,
        f"{name}: {summary['routes']} routes at {', '.join(site.origins)} {told}",
    )


def read(name: str, file: Path) -> Site:
    """Return what a file says of a shop's pages; end the verb where it breaks a rule, naming the field."""
    try:
        said = parse(file.read_bytes(), MOST_BYTES)
    except OSError:
        raise Ended(Exit.USAGE, "the file cannot be read") from None
    except ContractError as error:
        raise Ended(
            Exit.REFUSED, f"the file is not unambiguous JSON: {error.code}", code=error.code
        ) from None
    if not isinstance(said, dict) or said.get("storefront", name) != name:
        raise Ended(Exit.REFUSED, f"the file does not describe {name}", code="storefront-differs")
    try:
        return Site.model_validate_json(orjson.dumps({**said, "storefront": name}))
    except ValidationError as error:
        code, field = violation(error, Site)
    reason = f"{field or 'the file'} breaks a rule: {code}"
    raise Ended(Exit.REFUSED, reason, code=code, field=field)


def show(name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Show what a shop says of its pages; 1 if it says nothing."""
    rows = rows_of(stack.attach(state), _SHOW, name)
    if not rows:
        output.answer({"storefront": name, "site": None}, as_json, "no such site")
        raise typer.Exit(Exit.NO)
    site = orjson.loads(rows[0]["document"])
    output.answer(site, as_json, orjson.dumps(site, option=orjson.OPT_INDENT_2).decode())


def listed(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List the shops whose pages are counted."""
    rows = [_described(row) for row in rows_of(stack.attach(state), _LIST)]
    columns = ("storefront", "origins", "routes", "products", "categories", "set")
    table = output.table(columns, ((_cell(value) for value in row.values()) for row in rows))
    output.answer(rows, as_json, table if rows else "none")


def remove(
    name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Count nothing more of a shop's pages, within five seconds; 1 if nothing was counted."""
    removed = rows_of(stack.attach(state), _REMOVE, name, undo=dry_run)
    done = "would be removed" if dry_run else f"removed, refused within {STALE_SECONDS + 1:.0f} seconds"
    output.answer({"removed": bool(removed) and not dry_run}, as_json, done if removed else "no such site")
    if not removed:
        raise typer.Exit(Exit.NO)


def _described(row: dict[str, Any]) -> dict[str, Any]:
    summary = _summary(Site.model_validate_json(row["document"]))
    return {"storefront": row["storefront"], **summary, "set_at": row["set_at"]}


def _summary(site: Site) -> dict[str, Any]:
    return {
        "origins": list(site.origins),
        "routes": len(site.routes),
        "products": site.products,
        "categories": len(site.categories),
    }


def _cell(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value
