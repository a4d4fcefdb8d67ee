"""What speed is measured with keeps working between two measurements."""

from deploy.local import stack
from tests.benchmarks import clicks
from tests.benchmarks.arena import Arena
from tests.benchmarks.entrants import entrant
from tests.benchmarks.race import run
from tests.fixtures.platform import temporary_state

ORDERS = 200


def test_the_worker_and_its_floor_do_the_same_work() -> None:
    """Each keeps every order once and emits one event for it, on a platform of its own because tables are emptied."""
    with temporary_state() as state:
        arena = Arena(stack.start(state, only=()))
        for name in ("floor", "orders"):
            assert run(arena, entrant(name, arena), ORDERS).orders == ORDERS


def test_all_doors_for_clicks_take_the_same_pages(monkeypatch) -> None:
    """Ours gives none of them up; a figure of so short a run says nothing, so none is looked at."""
    monkeypatch.setattr(clicks, "SECONDS", 1.0)
    monkeypatch.setattr(clicks, "WARM_UP_SECONDS", 1.0)
    with temporary_state() as state:
        result = clicks.measure(stack.start(state, only=()), 1)
    assert set(result.goals) < set(result.ratios) == {"collect/raw", "collect/bare"}
    assert {name: len(laps) for name, laps in result.figures.items()} == {"collect": 1, "raw": 1, "bare": 1}
