"""Whoever floods a shop does not decide who leaves with whom (C3)."""

import pytest

from services.gateway.clicks import anonymiser, crowd
from tests.attacks.flooding import by_flood, flooded, victims_of
from tests.attacks.results import keep
from tests.attacks.visits import Shape, day_of, needs_data

pytestmark = needs_data
VICTIMS = 12


def test_a_flood_isolates_nobody(shapes: list[Shape], monkeypatch: pytest.MonkeyPatch) -> None:
    """From one address; where a mere number of contributions lets a room leave, it isolates everybody."""
    shape = shapes[0]
    victims = victims_of(day_of(shape), VICTIMS)
    real = by_flood(flooded(shape, victims, 20), victims)
    leave_by_the_number(monkeypatch)
    plain = by_flood(flooded(shape, victims, 10), victims)
    keep("flood before and after a visit", real=real, naive=plain)
    assert plain.wins
    assert real.claims > 100
    assert not real.wins


def leave_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a room leave as soon as it holds 2,000 contributions of ten user agents, whoever sent them."""
    monkeypatch.setattr(anonymiser, "MOST_WAITING", 8_000)
    monkeypatch.setattr(anonymiser, "EARLY_NETWORKS", 0)
    monkeypatch.setattr(anonymiser, "EARLY_SECONDS", 0.0)
    monkeypatch.setattr(crowd, "MOST_PER_NETWORK", 1_000_000)
    monkeypatch.setattr(crowd.Crowd, "enough", property(lambda each: len(each._visitors) >= each._least))
