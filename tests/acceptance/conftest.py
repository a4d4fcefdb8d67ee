"""The platform as its users meet it: whole, as processes, told as stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import stack
from deploy.local.stack import Stack
from tests.fixtures.evidence import WORKERS
from tests.fixtures.platform import temporary_state

SETTINGS = {"orders": {"returns_window_days": "0"}}


@pytest.fixture(scope="module")
def battered() -> Iterator[Stack]:
    """A platform that only this module uses, and may ill-treat; nobody counts clicks on it."""
    with temporary_state() as state:
        yield stack.start(state, only=WORKERS, settings=SETTINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where shops and carriers of a module keep their own files."""
    return tmp_path_factory.mktemp("outside")
