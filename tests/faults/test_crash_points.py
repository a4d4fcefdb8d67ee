"""Every process of the main path and of clicks is killed before and after each of its named steps; all comes out right.

The steps are `failpoints.Step`: one without a point here fails the suite. That effects stand inside a step is held by
tests/unit/kernel/test_steps.py, in the modules that it lists. Recommendations and insights have no steps: they are
killed in tests/integration/test_recommendations.py and test_insights.py.

One alone: pytest tests/faults/test_crash_points.py --full -k "orders-1:commit.after"
"""

from collections.abc import Iterator

import pytest

from services.kernel.failpoints import Step
from tests.faults.conftest import FOLDER
from tests.faults.crash_points import OWNERS, POINTS, SHORT, SIDES, Point, rounds
from tests.faults.crash_rounds import Round, Verdict, table
from tests.faults.faulty import Faulty
from tests.faults.history import History

IN_SHORT = {name for names in SHORT for name in names}


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, faulty: Faulty, seed: int) -> Iterator["Verdicts"]:
    """The rounds of the points that this run has chosen, each played when one of its points is asked for."""
    mine = (item for item in request.session.items if isinstance(item, pytest.Function))
    wanted = [
        item.callspec.params["point"]
        for item in mine
        if item.originalname == test_a_process_may_die_at_any_step.__name__
    ]
    found = Verdicts(faulty, rounds(wanted), seed)
    yield found
    print("\n" + table(found.seen))


class Verdicts:
    """What became of each round."""

    def __init__(self, faulty: Faulty, planned: list[tuple[Point, ...]], seed: int) -> None:
        self.seen: list[Verdict] = []
        self._faulty = faulty
        self._planned = planned
        self._seed = seed

    def of(self, point: Point) -> Verdict:
        """Return the verdict of the round that a point is in."""
        for verdict in self.seen:
            if point in verdict.points:
                return verdict
        number, chosen = next((n, each) for n, each in enumerate(self._planned) if point in each)
        history = History(FOLDER / f"crash-points-{number + 1}")
        history.tell("test", name=" ".join(each.name for each in chosen), seed=self._seed)
        self.seen.append(Round(self._faulty, history, chosen, self._seed * 1_000 + number).run())
        return self.seen[-1]


def test_every_step_has_its_points() -> None:
    """A step that nobody tries to die at would be a promise without a test."""
    assert [reach.step for reach in OWNERS] == list(Step)
    names = [point.name for point in POINTS]
    assert len(set(names)) == len(names) and set(names) >= IN_SHORT
    assert sorted(point.name for each in rounds(POINTS) for point in each) == sorted(names)
    tried = {(point.reach.step, point.side) for point in POINTS}
    assert tried == {(step, side) for step in Step for side in SIDES}


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, id=point.name, marks=() if point.name in IN_SHORT else pytest.mark.full)
        for point in POINTS
    ],
)
def test_a_process_may_die_at_any_step(point: Point, verdicts: Verdicts) -> None:
    """Killed exactly there and started again: effects as if undisturbed, erased stays erased (T1, R3, U2)."""
    verdict = verdicts.of(point)
    together = ", ".join(each.name for each in verdict.points)
    if verdict.failure is not None:
        raise AssertionError(f"round of {together}: {verdict.failure}") from verdict.failure
    assert point.name in verdict.deaths
