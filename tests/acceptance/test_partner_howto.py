"""A carrier with nothing of ours reads, opens, reports and forgets: the how-to's own commands, run as they stand."""

import json
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.reader import environment
from tests.fixtures.shopping import admit_shop, lethe, paid_order, until

HOWTO = Path(__file__).parents[2] / "docs" / "how-to" / "partner.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", HOWTO.read_text("utf-8"), re.MULTILINE | re.DOTALL)
END = "--- that was all ---"


class Shell:
    """One shell that goes through the how-to, block by block; stops at the first command that fails."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-eu"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, commands: str) -> str:
        """Run commands and return what they print."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write(f"{commands}\necho '{END}'\n")
        self._process.stdin.flush()
        printed = ""
        for line in self._process.stdout:
            if line.strip().endswith(END):
                return printed + line.replace(END, "").rstrip("\n")
            printed += line
        raise AssertionError(f"{commands}\n{printed}\n{self._process.stderr.read()}")

    def close(self) -> None:
        """End the shell."""
        self._process.communicate(timeout=10)


@pytest.fixture
def carrier(whole_platform, tool, tmp_path):
    """A shell in a folder with a signed agreement; `lethe` is installed, and a `kcat` that Kafka 4 lets in."""
    tool("jose")
    (tmp_path / "agreement.txt").write_text("We keep to it.\n")
    shell = Shell(tmp_path, environment(tmp_path, whole_platform.stack.state, tool("kcat")))
    yield shell
    shell.close()


def counted(state, column):
    """Return a number that the platform shows of the carrier."""
    listed = lethe(state, "partners", "list", expect=(0, 1))
    return next(each[column] for each in listed if each["partner_id"] == "swift")


def test_the_how_to_for_carriers_works_as_it_stands(carrier, whole_platform, tmp_path):
    """D2, D4: a filtered topic that a foreign client reads and opens; delivered, revoked, acknowledged."""
    state = whole_platform.stack.state
    make_key, add, read, report, revoked, forget, look = BLOCKS
    carrier.run(make_key)
    assert "swift receives name, address_lines, city, postal_code, country" in carrier.run(add)
    kit = state / "client" / "partners" / "swift"
    assert {path.name: path.stat().st_mode & 0o777 for path in kit.iterdir()} == {
        "kcat.conf": 0o600,
        "topics": 0o600,
        "README": 0o600,
    }
    for path in kit.iterdir():
        shutil.copy(path, tmp_path)
    offered, unacknowledged = counted(state, "offered"), counted(state, "unacknowledged")
    name = f"Canary {secrets.token_hex(4)}"
    paid_order(state, admit_shop(state, tmp_path), "swift", name)
    until("the label", lambda: counted(state, "offered") == offered + 1)
    until("the label on the topic", lambda: name in carrier.run(f"( {read} ) 2> /dev/null || true"))
    label = json.loads(carrier.run(read))
    assert (label["name"], sorted(label)) == (
        name,
        ["address_lines", "city", "country", "name", "postal_code"],
    )
    carrier.run(report)
    until("the revocation", lambda: counted(state, "unacknowledged") == unacknowledged + 1)
    until("the revocation on the topic", lambda: "revoked" in carrier.run(f"{revoked.strip()} || true"))
    assert "ce_reason=completed" in carrier.run(revoked)
    carrier.run(forget)
    until("the word", lambda: counted(state, "unacknowledged") == unacknowledged)
    assert "swift" in carrier.run(look)


def test_a_carrier_reads_nothing_but_its_own_topic(carrier, whole_platform, tmp_path):
    """D1: the login of a kit opens two topics and no other."""
    for block in BLOCKS[:2]:
        carrier.run(block)
    for path in (whole_platform.stack.state / "client" / "partners" / "swift").iterdir():
        shutil.copy(path, tmp_path)
    for topic in ("orders", "shipments", "deliveries", "erasure.commands"):
        denied = carrier.run(f"kcat -F kcat.conf -C -q -e -t {topic} 2>&1 || true")
        assert "authorization failed" in denied
    written = 'echo x | kcat -F kcat.conf -P -t "$SHIPMENTS" -X message.timeout.ms=5000 2>&1 || true'
    denied = carrier.run(f". ./topics; {written}")
    assert "uthorization failed" in denied
