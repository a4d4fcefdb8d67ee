"""One process at a time: killed, asked to stop, or frozen until others have taken its lanes."""

from collections.abc import Callable

from tests.faults.trial import Trial


def test_nothing_happens(trial: Callable[..., Trial]) -> None:
    """Undisturbed, effects are what the rules say: every other trial is held to the same (T1)."""
    it = trial(orders=60, people=3)
    it.judge()
