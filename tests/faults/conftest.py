"""Faults: what the platform survives, judged by six oracles from a recorded history (docs/faults.md).

pytest tests/faults                       the part that `make test` runs
pytest tests/faults --full --seed 7       everything, as `make faults SEED=7` does
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.faulty import Faulty, faulty_platform
from tests.faults.history import History
from tests.faults.trial import Trial

SEED = 20261123
"""The usual seed: the same run every time, unless somebody asks for another."""
FOLDER = Path(__file__).parents[2] / "build" / "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this folder."""
    group = parser.getgroup("faults")
    group.addoption("--full", action="store_true", help="run every fault, not only the part of `make test`")
    group.addoption("--seed", type=int, default=SEED, help="the seed that all chance is drawn from")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the full run does: it is not skipped, it is no part of the other run."""
    if config.getoption("--full", default=False):
        return
    whole = [item for item in items if item.get_closest_marker("full")]
    if whole:
        config.hook.pytest_deselected(items=whole)
        items[:] = [item for item in items if item not in whole]


def pytest_report_header(config: pytest.Config) -> str:
    """Say what reproduces this run."""
    return f"faults: seed {config.getoption('--seed', default=SEED)}"


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The number that all chance in a test is drawn from."""
    return int(pytestconfig.getoption("--seed", default=SEED))


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Faulty]:
    """One whole platform with a shop and two carriers, for every test that leaves it whole again.

    Of a full run shared by several processes each has its own; each is searched at its end.
    """
    with faulty_platform(tmp_path_factory.mktemp("faulty")) as found:
        yield found
        assert not pytestconfig.getoption("--full") or not found.traces()


@pytest.fixture
def history(request: pytest.FixtureRequest, seed: int) -> History:
    """The test's own record, under build/faults/<test>/."""
    found = History(FOLDER / re.sub(r"\W+", "-", request.node.name).strip("-"))
    found.tell("test", name=request.node.nodeid, seed=seed)
    return found


@pytest.fixture
def trial(faulty: Faulty, history: History, seed: int) -> Iterator[Callable[..., Trial]]:
    """Return a function that begins a trial on the shared platform: `trial(orders=60, people=3)`."""
    begun: list[Trial] = []

    def begin(**wanted: int) -> Trial:
        begun.append(Trial(faulty, history, seed, **wanted).begin())
        return begun[-1]

    yield begin
    for each in begun:
        each.end()
