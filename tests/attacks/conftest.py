"""How large a run of the attacks is: `LETHE_ATTACKS=10` plays ten days of each shop instead of one."""

import os

import pytest

from tests.attacks.visits import Shape

DAYS = int(os.environ.get("LETHE_ATTACKS", "1"))


@pytest.fixture(scope="session")
def shapes() -> list[Shape]:
    """Return the days that are played: a middling shop, a quiet one, and one to which the same people come back."""
    return [
        shape
        for seed in range(1, DAYS + 1)
        for shape in (
            Shape("middling", share=0.15, products=40, seed=seed),
            Shape("quiet", share=0.1, products=40, seed=seed),
            Shape("regulars", share=0.15, products=40, seed=seed, regulars=True),
        )
    ]
