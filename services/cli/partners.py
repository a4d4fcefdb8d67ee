"""Verbs about who receives shipments: partners add, partners kit, partners list, partners revoke."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from deploy.local import stack
from deploy.local.stack import Stack
from schemas.ids import NAME_FORM
from schemas.topics import for_carrier
from services.cli import output, partner_kit
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.cli.partner_kit import principal_of
from services.dispatch.agreements import Agreement, read_agreement
from services.dispatch.partners import Partners, check_key
from services.kernel.broker.admin import BrokerAdmin
from services.kernel.broker.grants import grants_for
from services.kernel.errors import RejectedRecord

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="Id of the partner, such as swift.", metavar="ID")]
KeyFile = Annotated[
    Path,
    typer.Option(
        "--key",
        help="The partner's public key, a JWK (P-256 or X25519).",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]
AgreementFile = Annotated[
    Path,
    typer.Option("--agreement", help="What it signed, in JSON.", exists=True, dir_okay=False, readable=True),
]
_WHY = {
    "key-private": "this is a private key, which only the partner may have; ask for its public half",
    "key-invalid": "this is no public key: not a JWK, or a point that is not on its curve",
    "key-unsupported": "only public keys for encryption on P-256 (EC) and X25519 (OKP) are taken",
    "agreement-invalid": "the agreement lacks something, or says something that none can say",
}
COLUMNS = ("partner", "held", "offered", "unacknowledged", "overdue", "agreement")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Who receives shipments, and what each has signed.", no_args_is_help=True)
    group.command()(add)
    group.command()(kit)
    group.command("list")(show)
    group.command()(revoke)
    app.add_typer(group, name="partners")


def add(
    name: Name,
    key: KeyFile,
    agreement: AgreementFile,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Let a partner receive shipments under an agreement; again with another key or agreement renews them.

    The agreement's file: {"fields": [names of parts of an address], "valid_from", "valid_to", "sha256" of the signed
    document, "scope": "shipments"}. A key or agreement that is not what it should be is refused (3).
    """
    _check(name)
    public, signed = _understood(key, agreement)
    platform = stack.attach(state)
    data = {"partner": name, "topics": [topic.name for topic in for_carrier(name)], "fields": signed.fields}
    if dry_run:
        return output.answer({"would_add": data}, as_json, f"would add {name}")
    # Topics and rights come first: what is held for the partner leaves as soon as the registry knows it.
    _open_topics(platform, name)
    _on_registry(platform, lambda partners: partners.add(name, public, signed))
    folder = partner_kit.write(platform, name)
    text = (
        f"{name} receives {', '.join(signed.fields)} until {signed.valid_to:%Y-%m-%d}; its kit is in {folder}"
    )
    return output.answer({**data, "kit": str(folder)}, as_json, text)


def kit(name: Name, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    """Write a partner's kit again: its login, its topics, how to read and write them."""
    _check(name)
    platform = stack.attach(state)
    platform.credentials(principal_of(name))
    folder = partner_kit.folder_of(platform, name) if dry_run else partner_kit.write(platform, name)
    text = f"{'would write' if dry_run else 'written to'} {folder}"
    output.answer({"partner": name, "kit": str(folder)}, as_json, text)


def show(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List partners with their agreements, shipments held back, and copies whose erasure was not acknowledged.

    1 if a shipment is held or an acknowledgement is overdue.
    """
    listed = _on_registry(stack.attach(state), lambda partners: partners.listed())
    rows = [row for partner in listed for row in _rows(partner)]
    output.answer(listed, as_json, output.table(COLUMNS, rows) if rows else "none")
    if any(partner.get("held") or partner.get("overdue") for partner in listed):
        raise typer.Exit(Exit.NO)


def revoke(
    name: Name,
    lock_out: Annotated[
        bool,
        typer.Option("--lock-out", help="Take its login, too: it can then read and acknowledge nothing."),
    ] = False,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """End a partner's agreements now: its copies are revoked, what comes for it is held. 1 if none was in force."""
    _check(name)
    platform = stack.attach(state)
    if dry_run:
        return output.answer({"would_revoke": name}, as_json, f"would revoke {name}")
    ended = _on_registry(platform, lambda partners: partners.revoke(name))
    if lock_out:
        BrokerAdmin(platform.kafka_settings("admin")).remove_principal(principal_of(name))
    text = f"{name}: {ended} agreements ended" if ended else f"{name} has no agreement in force"
    output.answer({"partner": name, "ended": ended, "locked_out": lock_out}, as_json, text)
    if not ended:
        raise typer.Exit(Exit.NO)


def _check(name: str) -> None:
    if not re.fullmatch(NAME_FORM, name):
        raise Ended(Exit.USAGE, f"a partner's id has the form {NAME_FORM}")


def _understood(key: Path, agreement: Path) -> tuple[str, Agreement]:
    """Return public key and agreement of two files; refuse what is not what it should be, without quoting it."""
    try:
        return check_key(key.read_bytes().decode("utf-8", "replace")), read_agreement(agreement.read_bytes())
    except RejectedRecord as error:
        raise Ended(Exit.REFUSED, _WHY[error.code], code=error.code, **error.fields) from None


def _open_topics(platform: Stack, name: str) -> None:
    """Create a partner's two topics, its login and its rights: these topics, its own groups, nothing else."""
    topics, principal = for_carrier(name), principal_of(name)
    admin = BrokerAdmin(platform.kafka_settings("admin"))
    admin.create(topics)
    admin.grant(grants_for(topics, [principal]))
    admin.set_passwords({principal: platform.secrets.get(principal, "kafka_password")})


def _on_registry(platform: Stack, act: Callable[[Partners], Awaitable[T]]) -> T:
    """Work on the registry, as the worker that owns it."""

    async def run() -> T:
        connection = await asyncpg.connect(platform.dsn("carriers"), timeout=10)
        try:
            return await act(Partners(connection))
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except asyncpg.UndefinedTableError:
        raise Ended(
            Exit.UNAVAILABLE, "dispatch has never been started here; start it with: lethe up"
        ) from None
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Ended(Exit.UNAVAILABLE, "the database cannot be reached", error=type(error).__name__) from None


def _rows(partner: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a partner's lines: one per agreement, the numbers on the first."""
    agreements = [_said(each) for each in partner["agreements"]] or [partner.get("code") or "no agreement"]
    numbers = [partner.get(name, 0) for name in COLUMNS[1:5]]
    return [
        (partner["partner_id"], *numbers, agreement) if first else ("",) * 5 + (agreement,)
        for first, agreement in zip((True, *[False] * len(agreements)), agreements, strict=False)
    ]


def _said(agreement: dict[str, Any]) -> str:
    """Return an agreement in one line."""
    until = (
        f"ended {agreement['ended_at']:%Y-%m-%d}"
        if agreement["ended_at"]
        else f"{agreement['valid_to']:%Y-%m-%d}"
    )
    return f"{agreement['valid_from']:%Y-%m-%d} … {until}  {' '.join(agreement['fields'])}"
