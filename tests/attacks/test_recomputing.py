"""Tags cannot be made again once their key is dead (C3)."""

import random

from services.kernel.sealing.keys import KEY_BYTES
from tests.attacks.naive import naive
from tests.attacks.played import DayKeyring, HandClock, played
from tests.attacks.recomputing import left_over, recomputed
from tests.attacks.results import keep, pooled
from tests.attacks.visits import Shape, day_of, needs_data

pytestmark = needs_data


def test_nobody_is_found_by_trying_all_addresses(shapes: list[Shape]) -> None:
    """With all that is left the attacker does as well as with a random key; a hash of the date gives everybody away."""
    shape = shapes[1]
    day, stream = day_of(shape), played(shape)
    strangers = [random.Random(number).randbytes(KEY_BYTES) for number in range(20)]
    real = recomputed(stream, day, left_over(stream))
    blind = recomputed(stream, day, strangers)
    plain = recomputed(naive(shape), day, [])
    keep("trying all addresses", real=real, **{"random key": blind}, naive=plain)
    assert plain.rate == 1.0
    assert not real.wins
    assert not blind.wins


def test_with_the_living_key_everybody_is_found(shapes: list[Shape]) -> None:
    """Shows that the attack works, and why the key must die."""
    shape = shapes[1]
    found = recomputed(
        played(shape), day_of(shape), [DayKeyring(HandClock(), shape.seed).material], victims=40
    )
    keep("trying all addresses with the living key", unprotected=pooled([found]))
    assert found.rate == 1.0
