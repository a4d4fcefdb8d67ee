"""Options that many verbs share, so that they are called and explained the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STATE = Path(".lethe")

State = Annotated[
    Path,
    typer.Option("--state", envvar="LETHE_STATE", help="Directory that holds everything of one platform."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
