"""How the demo judges: a check that fails once has failed, and an attempt to open is a real one."""

import io
import json
from pathlib import Path

import pytest
import typer
from rich.console import Console

from services.cli import demo
from services.cli.exits import Ended
from services.demo.copies import opened_by, opened_by_any, sealed_in
from services.demo.findings import Check, Findings, median, share
from services.demo.log_reader import Record
from services.demo.telling import Telling
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey, decoded
from services.kernel.sealing.place import place

WHERE = place("orders", "0" * 32, "ship_to")


def test_a_check_that_fails_once_has_failed() -> None:
    """A later success of the same name does not hide it."""
    findings = Findings()
    findings.add([Check("sealed", True, ""), Check("sealed", False, ""), Check("sealed", True, "")])
    assert findings.failed == ["sealed"]
    assert not findings.passed


def test_no_checks_at_all_are_no_success() -> None:
    """A demo that ends before it looked has shown nothing."""
    assert not Findings().passed


def test_findings_are_written_for_programs(tmp_path: Path) -> None:
    """Booleans and numbers by name."""
    findings = Findings(figures={"seconds": 1.23456})
    findings.add([Check("sealed", True, "not written")])
    findings.write(tmp_path / "build" / "demo.json")
    written = json.loads((tmp_path / "build" / "demo.json").read_text())
    assert written == {"checks": {"sealed": True}, "figures": {"seconds": 1.235}}


def test_shares_of_values() -> None:
    """The median and the 99th part of a hundred."""
    values = [float(number) for number in range(100)]
    assert median(values) == 50
    assert share(values, 0.99) == 99
    assert median([]) == 0


def test_an_old_copy_opens_with_its_own_key_and_with_no_other() -> None:
    """The attacker ignores the key's name in the header and still needs the key."""
    key, other = DataKey.fresh(), DataKey.fresh()
    token = seal(key, WHERE, b'{"name":"x"}')
    copy = sealed_in([Record("orders", 0, 0, b"s", json.dumps({"ship_to": token}).encode())])[0]
    assert (copy.kid, copy.place) == (key.kid, WHERE)
    assert opened_by(copy, decoded(key.text())) == b'{"name":"x"}'
    assert opened_by_any([copy], [decoded(other.text())] * 3) == []


def test_plain_lines_without_a_terminal() -> None:
    """No control sequences in a log, and counters once at the end at the latest."""
    written = io.StringIO()
    telling = Telling(Console(file=written, highlight=False, soft_wrap=True))
    with telling.watching(lambda: {"events": 3, "nothing": 0}):
        pass
    telling.check(Check("x", False, "this [does] not hold"))
    assert "3 events" in written.getvalue()
    assert "nothing" not in written.getvalue()
    assert "FAILED  this [does] not hold" in written.getvalue()
    assert "\x1b" not in written.getvalue()


@pytest.mark.parametrize("text", ["too short", "x" * 501, "with a \x1b[31mcontrol sequence", " \n "])
def test_a_note_that_cannot_travel_is_refused_without_being_quoted(tmp_path: Path, text: str) -> None:
    """The text is somebody's own: it stands in no message."""
    file = tmp_path / "note.txt"
    file.write_text(text)
    with pytest.raises(Ended) as refused:
        demo._text(file)
    assert refused.value.exit_code == 2
    assert text not in refused.value.reason


def test_a_used_state_directory_is_refused(tmp_path: Path) -> None:
    """The demo counts everything on its platform, so nothing may be there before."""
    (tmp_path / "something").touch()
    app = typer.Typer()
    demo.register(app)
    with pytest.raises(Ended) as refused:
        app(["--state", str(tmp_path)], standalone_mode=False)
    assert refused.value.exit_code == 3
