"""The operator's word about a restored database reaches every worker, for one start."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.local import workers
from deploy.local.layout import Identity, Layout
from deploy.local.secrets import Secrets
from deploy.settings import process_of
from services.cli import platform
from services.cli.app import build


@pytest.mark.parametrize("said", [True, False])
def test_up_hands_the_word_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: bool) -> None:
    heard: list[bool] = []

    def start(*_: Any, restored: bool) -> SimpleNamespace:
        heard.append(restored)
        return SimpleNamespace(
            state=tmp_path, kafka="", gateway_url="", insights_url="", keyring_url="", status=tuple
        )

    monkeypatch.setattr(platform.stack, "start", start)
    done = CliRunner().invoke(build(), ["up", "--state", str(tmp_path), *(["--restored"] if said else [])])
    assert done.exit_code == 0, done.output
    assert heard == [said]


def test_a_worker_is_told_in_its_environment_and_nothing_is_kept(tmp_path: Path) -> None:
    """A chosen environment is all that a process gets: what stands in the operator's own does not reach it."""
    layout = Layout.at(tmp_path)
    layout.create()
    identity = Identity("p", {"kafka": 1, "postgres-data": 2, "postgres-keyring": 3})

    def environment(**word: bool) -> Any:
        process = process_of("orders")
        launch = workers.launch_of(
            process, "orders-1", {"health": 4}, layout, identity, Secrets(layout), **word
        )
        return launch.environment.get("LETHE_RESTORED")

    assert environment(restored=True) == "true"
    assert environment() is None and not identity.settings
