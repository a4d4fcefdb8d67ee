"""What the speed of the orders worker is measured with keeps working between two measurements."""

from deploy.local import stack
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
