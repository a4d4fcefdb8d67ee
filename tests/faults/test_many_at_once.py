"""Many faults on top of each other, drawn from a seed, over a stream of orders and erasures."""

from collections.abc import Callable

import pytest

from tests.faults import schedule
from tests.faults.faulty import Faulty
from tests.faults.trial import Trial

STORMS, ROUNDS = 2, 5


@pytest.mark.full
@pytest.mark.parametrize("number", range(STORMS))
def test_many_faults_at_once(trial: Callable[..., Trial], faulty: Faulty, seed: int, number: int) -> None:
    """Kills, freezes, locks, cut connections, joins and leaves, all at once; then all is as undisturbed (T1, R3)."""
    storm = seed + number
    rounds = schedule.drawn(storm, ROUNDS)
    with schedule.told(rounds, seed):
        it = trial(orders=240, people=6)
        for each in rounds:
            it.history.tell("round", says=str(each))
            with it.fault("many at once", str(each)):
                schedule.carry_out(faulty, each, it.load)
        it.judge()


def test_a_seed_draws_the_same_schedule_every_time() -> None:
    """Else it would reproduce nothing."""
    assert schedule.drawn(7, 20) == schedule.drawn(7, 20) != schedule.drawn(8, 20)
    assert all(
        each.killed and not set(each.killed) & {*each.frozen, *each.slow} for each in schedule.drawn(9, 200)
    )
