"""The platform that the demo plays on: a fresh one of its own, asked the way people ask it.

Whatever an operator or an officer would do goes through the `lethe` command, whose exit code counts. Reading tables and
topics is what an administrator could do who has every password.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local import stack
from schemas.ids import RANDOM_ID
from schemas.topics import TOPICS, Topic, for_carrier
from services.demo.log_reader import Record, read_topics

COMMAND_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Ran:
    """How a `lethe` command ended: its exit code, and its JSON answer, an empty one if it gave none."""

    code: int
    answer: Any


@dataclass(frozen=True)
class Room:
    """A platform that runs."""

    stack: stack.Stack
    show: Callable[[str], None]
    """Told every command that is run."""

    @property
    def state(self) -> Path:
        return self.stack.state

    def lethe(self, *arguments: str, given: str | None = None) -> Ran:
        """Run `lethe` as a person would, with `given` on its standard input."""
        self.show(" ".join(("lethe", *map(_shown, arguments))) + (" < note.txt" if given is not None else ""))
        command = [sys.executable, "-m", "services.cli", *arguments]
        if "verify" not in arguments:
            command += ["--state", str(self.state)]
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, "--json"], input=given or "", capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        return Ran(done.returncode, _json(done.stdout))

    def rows(self, sql: str, cluster: str = "data", database: str = "lethe") -> list[dict[str, Any]]:
        """Return what a query finds, read as the administrator of a database."""
        asked = f"SELECT json_agg(t) FROM ({sql}) AS t"  # noqa: S608 - queries of our own
        found = self.stack.clusters[cluster].run_sql(asked, database)
        return json.loads(found) or [] if found.strip() else []

    def read(self, topics: Iterable[Topic] = TOPICS, carriers: Iterable[str] = ()) -> list[Record]:
        """Return every record on these topics and those of these carriers, read as the operator."""
        wanted = [*topics, *(each for name in carriers for each in for_carrier(name))]
        counts = {each.name: each.partitions for each in wanted}
        return read_topics(self.stack.kafka_settings("operator"), counts)

    def keyring(
        self, method: str, path: str, principal: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Ask the keyring with a principal's token; return status and answer."""
        token = self.stack.keyring_token(principal).get_secret_value()
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.stack.keyring_url + path, json=body, headers=headers, timeout=10)
        return answer.status_code, answer.json()


def _shown(argument: str) -> str:
    """Return an argument as it is worth reading: no folders, and of a random id the beginning."""
    if argument.startswith("/"):
        return Path(argument).name
    return f"{argument[:6]}…" if re.fullmatch(RANDOM_ID, argument) else argument


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}
