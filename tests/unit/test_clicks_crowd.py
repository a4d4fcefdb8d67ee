"""Who waits together leaves together, shuffled, as a crowd or not at all (C3)."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import Kind
from services.gateway.clicks.contribution import Contribution
from services.gateway.clicks.crowd import MOST_PER_NETWORK, MOST_PER_VISITOR, Crowd, Dropped, SystemChance
from tests.unit.examples import examples


def one(visitor: int, number: int = 0) -> Contribution:
    return Contribution(
        Kind.PRODUCT, "2026-11-23", f"id-{number}", f"tag-{visitor}-{number}", "share", "sealed"
    )


def crowd_of(*visitors: int, least: int = 5) -> Crowd:
    crowd = Crowd(least)
    for visitor in visitors:
        crowd.add(b"%d" % visitor, b"net %d" % visitor, [one(visitor)])
    return crowd


@pytest.mark.parametrize("least", [5, 10])
def test_one_visitor_less_than_a_crowd_stays(least: int) -> None:
    crowd = crowd_of(*range(least - 1), least=least)
    crowd.add(b"0", b"net 0", [one(0, number) for number in range(1, 100)])
    assert not crowd.enough and crowd.leave(random.Random()) == []
    assert crowd.waiting == least - 1 + 99
    crowd.add(b"one more", b"net 0", [one(-1)])
    assert not crowd.enough
    crowd.add(b"one more", b"one more net", [one(-1, 1)])
    assert crowd.enough and len(crowd.leave(random.Random())) == least + 100
    assert crowd.waiting == 0 and not crowd.enough


def test_every_order_is_as_likely_as_any_other() -> None:
    """Each of the six orders of three: 1,000 of 6,000 times, 200 being seven standard deviations."""
    seen: Counter[tuple[Contribution, ...]] = Counter()
    for _ in range(6_000):
        items = [one(0), one(1), one(2)]
        SystemChance().shuffle(items)
        seen[tuple(items)] += 1
    assert len(seen) == 6 and all(abs(count - 1_000) < 200 for count in seen.values())


def test_chance_loses_nobody() -> None:
    for size in (0, 1, 1_000):
        items = [one(number) for number in range(size)]
        shuffled = list(items)
        SystemChance().shuffle(shuffled)
        assert sorted(shuffled) == sorted(items)


def test_what_a_visitor_does_twice_leaves_once() -> None:
    """How often somebody did something within an hour is nobody's business and no statistic's."""
    crowd = crowd_of(*range(5))
    assert crowd.add(b"0", b"net 0", [one(0), one(0), one(0, 1)])[0] == 0
    assert crowd.waiting == 6
    assert Counter(crowd.leave(random.Random())).most_common(1)[0][1] == 1


def test_one_visitor_cannot_fill_the_room() -> None:
    crowd = crowd_of(*range(1, 5))
    many = [one(0, number) for number in range(MOST_PER_VISITOR + 7)]
    assert crowd.add(b"0", b"net 0", many) == (7, Dropped.VISITOR_FULL)
    assert crowd.add(b"0", b"net 0", [one(0, -1)]) == (1, Dropped.VISITOR_FULL)
    assert crowd.add(b"1", b"net 1", [one(1, 1)])[0] == 0
    assert crowd.waiting == MOST_PER_VISITOR + 5


def test_one_network_cannot_fill_the_room() -> None:
    """However many browsers are behind it; and who has no room there is nobody of the crowd."""
    crowd = crowd_of(*range(1, 4))
    for browser in range(4):
        many = [one(browser + 10, number) for number in range(MOST_PER_VISITOR)]
        assert crowd.add(b"browser %d" % browser, b"office", many)[0] == 0
    assert crowd.add(b"one more", b"office", [one(20), one(20, 1)]) == (2, Dropped.NETWORK_FULL)
    assert crowd.waiting == MOST_PER_NETWORK + 3
    assert crowd.networks == 4 and not crowd.enough
    crowd.add(b"5", b"net 5", [one(5)])
    assert len(crowd.leave(random.Random())) == MOST_PER_NETWORK + 4
    assert crowd.networks == 0
    assert crowd.add(b"one more", b"office", [one(20)]) == (1, Dropped.NETWORK_FULL)
    assert crowd.networks == 0


def test_the_order_is_chances() -> None:
    """Every order is as likely: where a visitor's cells stand says nothing, and so does who came first."""
    places = Counter()
    for seed in range(3_000):
        crowd = crowd_of(*range(5))
        places[crowd.leave(random.Random(seed)).index(one(0))] += 1
    assert len(places) == 5 and all(500 < count < 700 for count in places.values())


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), max_size=200), st.integers(5, 10))
@examples(100)
def test_everything_that_waits_leaves_and_nothing_else(done: list[tuple[int, int]], least: int) -> None:
    crowd = Crowd(least)
    for visitor, number in done:
        crowd.add(b"%d" % visitor, b"net %d" % visitor, [one(visitor, number)])
    expected = {one(visitor, number) for visitor, number in done}
    left = crowd.leave(random.Random(1))
    assert crowd.waiting == len(expected) - len(left)
    assert set(left) == (expected if len({visitor for visitor, _ in done}) >= least else set())
    assert len(left) == len(set(left))
