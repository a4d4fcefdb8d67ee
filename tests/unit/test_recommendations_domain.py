"""Lists are a function of numbers: whatever came first, however often, wherever it was set."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import OTHER, SEPARATOR, Kind
from schemas.scrubbed import Scrubbed
from schemas.statistics import MOST_LISTED, Listing, Recommended
from services.recommendations.domain import (
    BEFORE,
    HALF_LIFE_DAYS,
    MOST_RELATED,
    also_viewed,
    hot,
    lists,
    trending,
)  # fmt: skip
from services.recommendations.numbers import Numbers, began, first_day

TODAY = date(2026, 11, 23)


def day(back: int = 0) -> str:
    return (TODAY - timedelta(days=back)).isoformat()


def hour(back: int) -> str:
    return f"{TODAY - timedelta(days=back // 24)}T{23 - back % 24:02}"


CELLS = {
    Kind.PRODUCT: st.sampled_from(["lamp", "chair", "sofa", "Zoë", OTHER]),
    Kind.SEARCH: st.sampled_from(["lamp", "red lamp", "bed"]),
    Kind.PAIR: st.sampled_from(
        [SEPARATOR.join(pair) for pair in (("lamp", "chair"), ("chair", "lamp"), ("sofa", "sofa"), ("sofa", OTHER),
                                           ("lamp", "sofa"), ("bed", "chair"))]
    ),
}  # fmt: skip
NAMES = st.sampled_from(sorted(CELLS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.one_of(st.integers(0, 31).map(day), st.integers(0, 200).map(hour)), CELLS[kind]
    )
)
SAID = st.dictionaries(NAMES, st.integers(1, 50).map(lambda crowds: crowds * 10), max_size=40)


def made(said) -> dict:
    numbers = Numbers()
    for name, count in said:
        numbers.set(name, count)
    return dict(lists(numbers))


@given(SAID, st.randoms(use_true_random=False))
def test_the_order_in_which_numbers_come_changes_nothing(said, chance):
    """To the last digit: sums of floats are exact sums."""
    shuffled = list(said.items())
    chance.shuffle(shuffled)
    assert made(shuffled) == made(said.items())


@given(SAID, st.lists(st.integers(0, 39), max_size=20))
def test_a_number_said_again_changes_nothing(said, again):
    """Set, never added to: what Faust reads twice is not there twice."""
    once = list(said.items())
    assert made(once + [once[index] for index in again if index < len(once)]) == made(once)


@given(SAID, SAID)
def test_what_is_dropped_leaves_nothing_behind(said, old):
    """Numbers that knew old windows and forgot them make the lists of numbers that never knew them."""
    numbers, never = Numbers(), Numbers()
    for name, count in {**old, **said}.items():
        numbers.set(name, count)
        if began(name[1]) >= first_day(TODAY):
            never.set(name, count)
    dropped = numbers.drop_before(first_day(TODAY))
    assert dict(numbers) == dict(never) and numbers.windows == never.windows and len(numbers) == len(never)
    assert all(began(window) < first_day(TODAY) for _, window, _ in dropped)
    assert dict(lists(numbers)) == dict(lists(never))


@given(SAID)
def test_every_list_is_a_contract_bounded_sorted_and_of_products_that_have_a_name(said):
    """What is published passes its own contract; nothing of what was lumped together is recommended."""
    for (listing, of), items in made(said.items()).items():
        Recommended(storefront="shop", listing=listing, of=of, through=day(), items=items)
        assert items == tuple(sorted(items, key=lambda item: (-item.score, item.cell)))
        assert len({item.cell for item in items}) == len(items)
        assert (of is not None) == (listing is Listing.ALSO_VIEWED)
        assert OTHER not in {of, *(item.cell for item in items)} and of not in {item.cell for item in items}


def test_a_view_counts_half_after_the_half_life():
    """Recent views weigh more, and old ones still something."""
    then = int(HALF_LIFE_DAYS)
    found = hot({"old": {day(then): 40}, "new": {day(): 30}, "older": {day(2 * then): 40}}, day())
    assert [(item.cell, item.score) for item in found] == [("new", 30), ("old", 20), ("older", 10)]


def test_hours_of_a_day_weigh_by_their_own_age():
    """A list may know hours and days, when the shop changed its mind: both end at some moment."""
    found = hot(
        {"by hour": {f"{day()}T23": 10}, "by day": {day(): 10}, "at noon": {f"{day()}T11": 10}}, day()
    )
    assert found[0].score == found[1].score == 10 > found[2].score > 8
    assert [item.cell for item in found] == ["by day", "by hour", "at noon"]


def test_ties_go_by_name_and_lists_end():
    """So that two instances never disagree."""
    many = {f"product {number:04}": {day(): 10} for number in range(MOST_LISTED + 5)}
    found = hot(dict(reversed(many.items())), day())
    assert [item.cell for item in found] == sorted(many)[:MOST_LISTED]


def test_what_rises_is_trending_and_what_is_always_there_is_not():
    """A term of twice the people is above the most searched one, which nobody needs to be told of."""
    week = {day(back): 500 for back in range(8)}
    searches = {
        "always": week,
        "rising": {**{day(back): 20 for back in range(1, 8)}, day(): 80},
        "gone": {day(1): 90},
    }
    assert [(item.cell, item.score) for item in trending(searches)] == [("rising", 3.0)]


def test_a_placeholder_of_the_scrubber_is_no_trend():
    """Nobody searches for `(phone)`, however many typed one."""
    rising = {**{day(back): 20 for back in range(1, 8)}, day(): 80}
    searches = {kind.placeholder: rising for kind in Scrubbed} | {"rising": rising, "(pencil)": rising}
    assert {item.cell for item in trending(searches)} == {"rising", "(pencil)"}


def test_what_was_not_published_before_has_not_risen_without_end():
    """Below the crowd means unknown, not zero: a new term of ten people does not beat all others."""
    searches = {
        "always": {day(back): 100 for back in range(8)},
        "new": {day(): 10},
        "much": {day(): 90, day(1): 70},
    }
    found = {item.cell: item.score for item in trending(searches)}
    assert found == {"much": pytest.approx(100 / 20), "new": pytest.approx(2)}


def test_before_is_a_week_and_not_more():
    """What was searched for last month does not keep a term down."""
    longest = BEFORE.days
    searches = {"term": {day(): 50, day(longest): 50, day(longest + 1): 10_000}}
    assert trending(searches)[0].score == pytest.approx(60 / (50 / longest + 10), abs=1e-6)


def test_hours_are_compared_with_hours():
    """An hour against the days of before the change would always have fallen."""
    searches = {"term": {hour(0): 20, hour(1): 10, day(1): 900}}
    assert trending(searches)[0].score == pytest.approx(30 / 20)


def test_a_first_window_lists_what_is_searched_most():
    """There is no before: the order is that of the numbers."""
    assert [item.cell for item in trending({"few": {day(): 10}, "many": {day(): 90}})] == ["many", "few"]


def test_also_viewed_goes_both_ways_and_prefers_the_alike_to_the_popular():
    """By counts alone the bestseller would stand beside everything."""
    products = {"lamp": {day(): 100}, "shade": {day(): 50}, "bestseller": {day(): 5_000}}
    pairs = {
        SEPARATOR.join(("lamp", "shade")): {day(): 20}, SEPARATOR.join(("shade", "lamp")): {day(): 10},
        SEPARATOR.join(("bestseller", "lamp")): {day(): 40},
    }  # fmt: skip
    found = dict(also_viewed(pairs, products))
    assert [item.cell for item in found["lamp"]] == ["shade", "bestseller"]
    assert (
        found["lamp"][0].score
        == found["shade"][0].score
        == pytest.approx(30 / ((100 * 50) ** 0.5 + 10), abs=1e-6)
    )
    assert [item.cell for item in found["bestseller"]] == ["lamp"]


def test_a_product_whose_views_are_not_published_was_viewed_at_least_in_its_pairs():
    """Views in another window or below the crowd: no division by nothing, no score above what is known."""
    found = dict(also_viewed({SEPARATOR.join(("a", "b")): {day(): 10}}, {}))
    assert found["a"][0].score == found["b"][0].score == 10 / (10 + 10)


def test_the_rarest_pair_is_not_the_most_alike_of_all():
    """Ten people who saw two things together and nothing else say less than a hundred of two hundred."""
    pairs = {SEPARATOR.join(("lamp", "rare")): {day(): 10}, SEPARATOR.join(("lamp", "shade")): {day(): 120}}
    products = {"lamp": {day(): 200}, "rare": {day(): 10}, "shade": {day(): 400}}
    assert [item.cell for item in dict(also_viewed(pairs, products))["lamp"]] == ["shade", "rare"]


def test_a_products_own_list_is_short():
    """There are as many as products."""
    pairs = {SEPARATOR.join(("hub", f"spoke {number:03}")): {day(): 10} for number in range(MOST_RELATED * 2)}
    found = dict(also_viewed(pairs, {}))
    assert len(found["hub"]) == MOST_RELATED and len(found) == 2 * MOST_RELATED + 1


def test_no_numbers_make_no_lists():
    """Not empty ones."""
    assert made([]) == {} and Numbers().latest is None
