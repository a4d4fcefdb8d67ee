"""What may be counted, when, and what may be told: the clickstream's decisions (C3)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import CROWD, LEAST_CROWD, Kind
from schemas.topics import LANES
from services.clickstream.domain import (
    Reason,
    Rules,
    Stage,
    Standing,
    fits,
    flaw,
    identity,
    largest,
    reached,
    told,
    told_mass,
)
from services.clickstream.settings import Settings
from services.kernel.broker.partition import lane_of_cell
from services.kernel.errors import ConfigurationError
from tests.fixtures.clicks import Door

AT = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY = "2026-11-23"


def flaw_of(window: str, *, lane: int | None = None, rules: Rules | None = None) -> Reason | None:
    cell = Door().cell("shop-a", DAY, Kind.PRODUCT, "p1", "v1").model_copy(update={"window": window})
    own = lane_of_cell("shop-a", cell.id)
    return flaw(rules or Rules(), "shop-a", cell, own if lane is None else (own + lane) % LANES, AT)


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (DAY, None),
        ("2026-11-23T12", None),
        ("2026-11-24", Reason.IMPLAUSIBLE),
        ("2026-11-23T13", Reason.IMPLAUSIBLE),
        ("2026-02-30", Reason.IMPLAUSIBLE),
        ("2026-11-23T24", Reason.IMPLAUSIBLE),
        ("9999-12-31", Reason.IMPLAUSIBLE),
        ("2026-11-16", None),
        ("2026-11-15", Reason.LATE),
        ("0001-01-01T00", Reason.LATE),
    ],
)
def test_a_window_is_one_of_the_calendar_and_of_about_now(window: str, reason: Reason | None) -> None:
    assert flaw_of(window) is reason


def test_a_gateway_whose_clock_is_a_little_ahead_is_believed() -> None:
    cell = Door().cell("shop-a", "2026-11-24", Kind.PRODUCT, "p1", "v1")
    own = lane_of_cell("shop-a", cell.id)
    almost = datetime(2026, 11, 23, 23, 56, tzinfo=UTC)
    assert flaw(Rules(), "shop-a", cell, own, almost) is None
    assert flaw(Rules(), "shop-a", cell, own, almost - timedelta(minutes=2)) is Reason.IMPLAUSIBLE


def test_a_cell_belongs_to_one_lane_only() -> None:
    """In two lanes one visitor would be counted twice."""
    assert {flaw_of(DAY, lane=lane) for lane in range(1, LANES)} == {Reason.IMPLAUSIBLE}


def test_a_kind_may_be_left_out() -> None:
    assert flaw_of(DAY, rules=Rules(kinds=frozenset({Kind.SEARCH}))) is Reason.UNPUBLISHED


def test_a_span_takes_what_lies_before_its_cut() -> None:
    assert Standing(Stage.OPEN).takes(10**9)
    assert [Standing(Stage.WAITING, 5).takes(offset) for offset in (4, 5, 6)] == [True, False, False]
    assert not any(Standing(stage, 5).takes(4) for stage in (Stage.COUNTING, Stage.SWEEPING, Stage.CLOSED))


def test_a_lane_has_reached_a_cut_when_it_would_read_the_record_at_it_next() -> None:
    assert [reached(5, position) for position in (4, 5, 6)] == [False, True, True]


@given(st.integers(0, 10_000), st.integers(LEAST_CROWD, 500))
def test_a_number_is_told_of_whole_crowds_only(count: int, crowd: int) -> None:
    """A multiple of the crowd, never more than there were, nothing below a crowd."""
    said = told(count, crowd)
    assert said % crowd == 0 and 0 <= count - said < crowd
    assert (said == 0) == (count < crowd)


@given(st.lists(st.integers(0, 10_000), max_size=30), st.lists(st.integers(0, 10_000), max_size=30))
def test_no_difference_of_told_numbers_is_about_fewer_than_a_crowd(one: list[int], other: list[int]) -> None:
    """Windows, kinds, totals: whatever is subtracted from whatever, it is a multiple of the crowd."""
    difference = sum(told(each, CROWD) for each in one) - sum(told(each, CROWD) for each in other)
    assert difference % CROWD == 0


@given(st.integers(0, 10**9), st.integers(LEAST_CROWD, 500))
def test_a_dropped_mass_is_told_by_its_first_digit_only(mass: int, crowd: int) -> None:
    """Whoever knows all that was dropped but one cell does not learn that cell's number."""
    said = told_mass(mass, crowd)
    assert said == (0 if mass < 10 * crowd else int(str(mass)[0] + "0" * (len(str(mass)) - 1)))


def test_of_two_keys_the_larger_number_counts_and_never_the_sum() -> None:
    found = largest(
        [(Kind.SEARCH, "a", 4), (Kind.SEARCH, "a", 9), (Kind.SEARCH, "a", 7), (Kind.PRODUCT, "a", 1)]
    )
    assert found == {(Kind.SEARCH, "a"): 9, (Kind.PRODUCT, "a"): 1}


def test_cells_of_another_shop_kind_window_or_key_are_others() -> None:
    base = ("shop-a", "product", DAY, 1, "x" * 22)
    others = [
        ("shop-b", *base[1:]), ("shop-a", "search", *base[2:]), (*base[:2], f"{DAY}T01", *base[3:]),
        (*base[:3], 11, base[4]), (*base[:4], "y" * 22),
    ]  # fmt: skip
    assert len({identity(*each) for each in (base, *others)}) == 6


@pytest.mark.parametrize(
    ("kind", "text", "well"),
    [
        (Kind.PRODUCT, "p1", True),
        (Kind.PRODUCT, "p1\tp2", False),
        (Kind.PAIR, "p1\tp2", True),
        (Kind.PAIR, "p1", False),
        (Kind.PAIR, "p1\t", False),
        (Kind.SEARCH, "", False),
        (Kind.SEARCH, "x\n", False),
        (Kind.SEARCH, "x\x00y", False),
        (Kind.SEARCH, "x" * 120, True),
        (Kind.SEARCH, "x" * 121, False),
        (Kind.DWELL, "a\tb\tc", False),
    ],
)
def test_an_opened_text_has_the_parts_of_its_kind(kind: Kind, text: str, well: bool) -> None:
    assert fits(kind, text) is well


def test_no_setting_makes_a_crowd_smaller_than_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PRINCIPAL": "clickstream", "INSTANCE": "clickstream-1", "KAFKA": "h:1", "KAFKA_PASSWORD": "-",
        "DATABASE_PORT": "1", "DATABASE_NAME": "lethe", "DATABASE_PASSWORD": "-", "CROWD": str(LEAST_CROWD - 1),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LETHE_{name}", value)
    with pytest.raises(ConfigurationError, match="crowd"):
        Settings.from_environment()
    monkeypatch.setenv("LETHE_CROWD", str(LEAST_CROWD))
    monkeypatch.setenv("LETHE_KINDS", '["search", "pair"]')
    settings = Settings.from_environment()
    assert isinstance(settings, Settings)
    assert settings.rules == Rules(LEAST_CROWD, timedelta(minutes=10), frozenset({Kind.SEARCH, Kind.PAIR}))
