"""Composes the command line from the groups of verbs and turns every ending into an exit code."""

import json
import sys

import typer

from services.cli import (
    dead_letters,
    demo,
    erasures,
    exits,
    insights,
    keys,
    output,
    partners,
    platform,
    publish,
    scan,
    show,
    sites,
    statistics,
    storefronts,
    topics,
    verify,
)

GROUPS = (
    platform,
    topics,
    keys,
    dead_letters,
    storefronts,
    sites,
    insights,
    publish,
    erasures,
    verify,
    scan,
    show,
    partners,
    statistics,
    demo,
)
"""Modules with a function `register(app)` that adds their verbs."""


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="lethe",
        help="Lethe: an order pipeline in which a person can be forgotten, provably.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for group in GROUPS:
        group.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one verb and exit with its code; a reason goes to the error output, in JSON where JSON was asked for."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        build()(given, standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        ended = exits.of(error)
        if ended is None:
            raise
        if "--json" in given:
            print(json.dumps(exits.as_json(ended), default=str))
        else:
            output.complain(ended.reason)
        sys.exit(ended.exit_code)
