"""Verbs about Kafka's topics, users and rights: topics plan, topics apply."""

import typer

from deploy.local import access, stack
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State
from services.kernel.broker.admin import BrokerAdmin, Plan


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Topics, users and rights on Kafka, as the access matrix declares them.")
    group.command()(plan)
    group.command()(apply)
    app.add_typer(group, name="topics")


def plan(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Show what `apply` would change; 1 if there is something."""
    found = _plan(stack.attach(state))
    _show(found, as_json)
    if found:
        raise typer.Exit(Exit.NO)


def apply(state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    """Bring the broker in line with the access matrix."""
    platform = stack.attach(state)
    found = _plan(platform)
    if found.refused and not dry_run:
        raise Ended(Exit.REFUSED, "; ".join(found.refused), changes=found.lines())
    _show(found, as_json)
    if not dry_run:
        access.reconcile_kafka(platform.kafka_settings("admin"), platform.secrets)


def _plan(platform: stack.Stack) -> Plan:
    return BrokerAdmin(platform.kafka_settings("admin")).plan()


def _show(found: Plan, as_json: bool) -> None:
    output.answer({"changes": found.lines()}, as_json, "\n".join(found.lines()) or "nothing to change")
