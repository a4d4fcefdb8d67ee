"""The how-to pages' own commands, run as they stand, in the order in which a reader would type them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.reader import environment
from tests.fixtures.shopping import lethe

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(whole_platform, tool, tmp_path):
    """Somebody in an empty folder, with `lethe` installed and a `kcat` that Kafka 4 lets in."""
    stack = whole_platform.stack
    known_to_all = {
        **environment(tmp_path, stack.state, tool("kcat")),
        "LETHE_URL": stack.gateway_url,
        "LETHE_INSIGHTS": stack.insights_url,
    }

    def follow(page: str, **known: str) -> str:
        """Run every command of a page and return what was printed; any unexpected exit code ends it."""
        blocks = _BLOCK.findall((PAGES / page).read_text(encoding="utf-8"))
        commands = "".join(block for language, block in blocks if language in ("", "sh"))
        assert commands
        done = subprocess.run(
            ["bash", "-eu", "-c", commands], cwd=tmp_path, env={**known_to_all, **known}, text=True,
            capture_output=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return follow


def test_a_storefront_connects_sends_an_order_forgets_a_customer_and_counts_clicks(reader):
    """R3 and C3, by the storefront's page."""
    printed = reader("storefront.md")
    assert '{"accepted":true}' in printed
    assert '"salt"' in printed
    assert '{"accepted":true,"dropped":{"checkout-event":1}}' in printed
    assert '"gpc": true' in printed


def test_an_operator_looks_scales_and_rotates(reader, tmp_path):
    """T5, by the operator's page."""
    printed = reader("operator.md")
    assert "ready" in printed
    assert "primary" in printed
    assert {each["topic"] for each in json.loads((tmp_path / "topics.json").read_text())["topics"]} > {
        "orders"
    }
    assert "What is never collected" in printed


def test_a_merchandiser_reads_what_crowds_do(reader):
    """U3, by the merchandiser's page: every question is answered, before there is anything to read, too."""
    printed = reader("merchandiser.md")
    for said in ('"listing":"hot"', '"listing":"trending"', '"listing":"also-viewed"', '"kind":"search"'):
        assert said in printed


def test_a_privacy_officer_follows_a_request_and_checks_its_certificate(reader, whole_platform, tmp_path):
    """R3, by the privacy officer's page."""
    state = whole_platform.stack.state
    token = tmp_path / "officer.token"
    lethe(state, "storefronts", "add", "officershop", "--token-file", str(token))
    (tmp_path / "text.txt").write_text("a text that nobody ever wrote\n")
    subject = "0123456789abcdef" * 2
    erased = lethe(state, "erase", subject, "--token-file", str(token), "--wait", "60", expect=(0,))
    printed = reader("privacy-officer.md", REQUEST=erased["request"], SALT=erased["salt"], SUBJECT=subject)
    assert "certified" in printed
    assert "Sec-GPC: 1" in printed
