"""What an operator sees of erasures: states, times and whose answer was not believed."""

from functools import partial

import pytest

from services.erasure.domain import decide
from services.erasure.metering import metered
from services.kernel.telemetry import metrics
from tests.fixtures.erasures import OWNERS, RULES, START, given, keys_destroyed, receipt, requested

FIRST = requested().request
COUNTING = metered(partial(decide, RULES))


def figure(name: str, **labels: str) -> float:
    """Return a metric's value."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def fold(*events):
    """Return the state after these events."""
    state = None
    for event in events:
        state = COUNTING(state, event, given(START)).state
    return state


def test_every_state_that_is_reached_is_counted_once_whoever_joined():
    """A request that joined is no erasure of its own."""
    before = {
        state: figure("lethe_erasures_total", state=state)
        for state in ("verified", "fanned-out", "certified")
    }
    timed = figure("lethe_erasure_certified_seconds_count")
    fold(
        requested(),
        requested(2),
        keys_destroyed(FIRST, 1),
        *(receipt(FIRST, 1, owner) for owner in OWNERS),
        requested(3),
    )
    reached = {state: figure("lethe_erasures_total", state=state) - count for state, count in before.items()}
    assert reached == {"verified": 1, "fanned-out": 2, "certified": 2}
    # A certificate that supersedes the first is not another erasure.
    assert figure("lethe_erasure_certified_seconds_count") == timed + 1


def test_an_answer_that_is_not_believed_is_logged_with_its_owner_and_code(monkeypatch):
    """Somebody has to look at it; nothing about the subject is said."""
    lines = []
    monkeypatch.setattr(
        "services.erasure.metering._log.error", lambda event, **said: lines.append((event, said))
    )
    fold(requested(), keys_destroyed(FIRST, 1), receipt(FIRST, 1, "orders", erased=0))
    assert lines == [("answer not believed", {"owner": "orders", "code": "nothing-found", "round": 1})]


def test_an_erasure_is_measured_from_verified_to_unreadable():
    """Time-to-unreadable is a published figure."""
    before = figure("lethe_erasure_unreadable_seconds_sum")
    fold(requested(), keys_destroyed(FIRST, 1), *(receipt(FIRST, 1, owner) for owner in OWNERS))
    assert figure("lethe_erasure_unreadable_seconds_sum") - before == pytest.approx(10)
