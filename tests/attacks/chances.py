"""How often chance alone is right, and how sure a rate is: exact binomial intervals, without a library."""

import math
from collections.abc import Callable

SURE = 0.95


def most_by_guessing(claims: int, chance: float, sure: float = SURE) -> float:
    """Return the upper end of the interval that holds the success rate of so many guesses in 95 of 100 cases.

    Guesses that are not all as likely are taken at their mean: a sum of unequal ones spreads less, not more.
    """
    if not claims or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    total, right = 0.0, 0
    while right <= claims:
        total += math.exp(_log_binomial(claims, right, chance))
        if total >= 1 - (1 - sure) / 2:
            break
        right += 1
    return min(1.0, right / claims)


def interval(right: int, claims: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by Clopper and Pearson (1934)."""
    if not claims:
        return 0.0, 1.0
    beside = (1 - SURE) / 2
    low = 0.0 if not right else _root(lambda p: _upper_tail(claims, right, p) - beside)
    high = 1.0 if right == claims else _root(lambda p: beside - (1 - _upper_tail(claims, right + 1, p)))
    return low, high


def _upper_tail(claims: int, right: int, chance: float) -> float:
    """Return how likely so many right ones or more are."""
    if right <= 0:
        return 1.0
    below = math.fsum(math.exp(_log_binomial(claims, each, chance)) for each in range(right))
    return max(0.0, 1 - below)


def _log_binomial(claims: int, right: int, chance: float) -> float:
    if chance <= 0 or chance >= 1:
        return 0.0 if right == (claims if chance >= 1 else 0) else -math.inf
    ways = math.lgamma(claims + 1) - math.lgamma(right + 1) - math.lgamma(claims - right + 1)
    return ways + right * math.log(chance) + (claims - right) * math.log1p(-chance)


def _root(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
