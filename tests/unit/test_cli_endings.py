"""The command line ends in one way per kind of answer, in text or JSON, without a platform."""

import json
from pathlib import Path

import pytest
import typer

from deploy.local.errors import PlatformRefused, PlatformUnavailable
from services.cli import app, exits
from services.cli.exits import Ended, Exit
from services.kernel.errors import BrokerUnavailable, ConfigurationError


def ends(*arguments: str) -> int:
    """Run `lethe` in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        app.main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlatformUnavailable("no"), Exit.UNAVAILABLE),
        (PlatformRefused("no"), Exit.REFUSED),
        (BrokerUnavailable("broker"), Exit.UNAVAILABLE),
        (ConfigurationError("topics-differ"), Exit.REFUSED),
        (Ended(Exit.INCOMPLETE, "no"), Exit.INCOMPLETE),
    ],
)
def test_every_known_error_has_its_exit_code(error: Exception, code: Exit):
    """3 refused by a rule, 4 unavailable, 5 incomplete: a script can tell what to do next."""
    ended = exits.of(error)
    assert ended is not None and ended.exit_code == code
    assert exits.as_json(ended)["exit"] == code.name.lower()


def test_a_bug_is_not_dressed_up_as_an_answer():
    """An error that nobody foresaw keeps its traceback."""
    assert exits.of(ValueError("x")) is None


def test_wrong_usage_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As everywhere."""
    assert ends("up", "--no-such-option") == Exit.USAGE
    assert ends("up", "--set", "nonsense", "--dry-run", "--state", str(tmp_path)) == Exit.USAGE
    assert ends("no-such-verb") == Exit.USAGE


def test_a_platform_that_is_not_there_is_unavailable_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Asking must not create what was asked for."""
    state = str(tmp_path / "state")
    assert ends("topics", "plan", "--state", state, "--json") == Exit.UNAVAILABLE
    assert json.loads(capsys.readouterr().out)["exit"] == "unavailable"
    assert ends("status", "--state", state, "--json") == Exit.NO
    assert {each["state"] for each in json.loads(capsys.readouterr().out)} == {"stopped"}
    assert ends("down", "--state", state, "--json") == Exit.DONE
    assert json.loads(capsys.readouterr().out) == {"stopped": 0}
    assert ends("up", "--dry-run", "--state", state, "--json") == Exit.DONE
    assert "kafka" in json.loads(capsys.readouterr().out)["would_start"]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_worker_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The reason names those that there are."""
    assert ends("run", "florist", "--state", str(tmp_path)) == Exit.REFUSED
    assert "carriers" in capsys.readouterr().err


def test_every_verb_answers_in_json_and_every_change_can_be_tried_dry():
    """`--state` and `--json` everywhere, `--dry-run` wherever something changes."""
    command = typer.main.get_command(app.build())
    # The demo changes nothing that exists: it makes a platform of its own and takes it down again.
    reading = {"status", "plan", "show", "list", "verify", "scan", "certificate", "demo"}
    for path, verb in _verbs(command, ""):
        options = {option for parameter in verb.params for option in parameter.opts}
        assert "--json" in options, path
        if path.split()[-1] not in reading and "--state" in options:
            assert "--dry-run" in options, path


def _verbs(command, path):
    for name, each in getattr(command, "commands", {}).items():
        inner = f"{path} {name}".strip()
        if hasattr(each, "commands"):
            yield from _verbs(each, inner)
        else:
            yield inner, each
