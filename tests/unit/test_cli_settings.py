"""What `lethe up --set` makes of the words for workers and their settings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.compose import document
from deploy.settings import TOGETHER, process_of
from services.cli import platform
from services.cli.app import build


def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> dict[str, dict[str, str]]:
    heard: list[dict[str, dict[str, str]]] = []

    def start(
        _: Any, __: Any, settings: dict[str, dict[str, str]], *___: Any, restored: bool
    ) -> SimpleNamespace:
        heard.append(settings)
        return SimpleNamespace(
            state=tmp_path,
            kafka="",
            gateway_url="",
            insights_url="http://127.0.0.1:1",
            keyring_url="",
            status=tuple,
        )

    monkeypatch.setattr(platform.stack, "start", start)
    sets = [each for word in words for each in ("--set", word)]
    done = CliRunner().invoke(build(), ["up", "--state", str(tmp_path), *sets])
    assert done.exit_code == 0, done.output
    assert "insights http://127.0.0.1:1" in done.output
    return heard[0]


def test_what_counts_as_a_crowd_is_told_to_everybody_who_must_agree_on_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One word for all of them: a page that says ten while a worker publishes five would promise too much (U3)."""
    wanted = told(monkeypatch, tmp_path, "clicks.crowd=20", "gateway.flush_seconds=1", "dispatch.restored=x")
    assert wanted == {
        "gateway": {"crowd": "20", "flush_seconds": "1"},
        "clickstream": {"crowd": "20"},
        "insights": {"crowd": "20"},
        "carriers": {"restored": "x"},
    }


def test_containers_are_told_one_crowd_too() -> None:
    """The same variable of whoever starts them, with the same default."""
    services = document()["services"]
    told = {
        name: service["environment"].get("LETHE_CROWD")
        for name, service in services.items()
        if name != "secrets" and "environment" in service
    }
    assert {name for name, crowd in told.items() if crowd} == set(TOGETHER["clicks"])
    assert {crowd for crowd in told.values() if crowd} == {"${LETHE_CROWD:-10}"}
    assert all(process_of(each).principal == each for each in TOGETHER["clicks"])
