"""Drawings: what is wide is much, nothing lies outside, and labels do not lie on each other."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.insights.charts import BAR, LEAST_PITCH, THICKNESS, Step, flow, panels, shares, shortened
from services.insights.view import _lower_bound
from tests.unit.examples import examples

PLACES = st.sampled_from(["(entry)", "(other)", "/", "/a", "/b", "/c/{category}", "/d", "/e", "/f/*"])
STEPS = st.lists(
    st.builds(Step, PLACES, PLACES, st.integers(1, 500).map(lambda each: 10 * each)),
    unique_by=lambda each: (each.source, each.target),
    max_size=30,
)


@given(steps=STEPS)
@examples(200)
def test_a_flow_fits_its_frame_and_its_bands_fill_its_places(steps: list[Step]) -> None:
    drawn = flow(steps, 1_000, 230, 28)
    for column in (drawn.left, drawn.right):
        assert all(each.y >= 0 and each.y + each.height <= drawn.height for each in column)
        assert all(second.middle - first.middle >= LEAST_PITCH - 0.2 for first, second in pairwise(column))
    assert len(drawn.bands) == len(steps)
    total = sum(each.at_least for each in steps)
    for band in drawn.bands:
        x0, y0 = re.match(r"M([\d.]+),([\d.]+)C", band.path).groups()
        thickness = float(re.search(r"v([\d.]+)C", band.path)[1])
        source = next(each for each in drawn.left if each.name == band.step.source)
        assert float(x0) == source.x + BAR
        assert abs(thickness - THICKNESS * band.step.at_least / total) < 0.06
        assert source.y - 0.1 <= float(y0) and float(y0) + thickness <= source.y + source.height + 0.3


@given(steps=STEPS)
@examples(100)
def test_bands_of_one_place_do_not_lie_on_each_other(steps: list[Step]) -> None:
    drawn = flow(steps, 340, 0, 17)
    for node in drawn.left:
        spans = sorted(
            (float(re.match(r"M[\d.]+,([\d.]+)", band.path)[1]), float(re.search(r"v([\d.]+)", band.path)[1]))
            for band in drawn.bands
            if band.step.source == node.name
        )
        assert all(second[0] >= first[0] + first[1] - 0.2 for first, second in pairwise(spans))


def test_nothing_is_drawn_of_nothing() -> None:
    drawn = flow([], 1_000, 230, 28)
    assert (drawn.left, drawn.right, drawn.bands) == ((), (), ())
    assert panels([]) == () and shares([]) == []


def test_all_panels_have_one_scale_and_a_gap_stays_a_gap() -> None:
    first, second = panels([("/", [("0-10s", 400), ("10m+", 0)]), ("/a", [("0-10s", 100), ("10m+", 10)])])
    heights = [[each.height for each in panel.columns] for panel in (first, second)]
    assert heights[0][0] == 4 * heights[1][0] and heights[0][1] == 0 < heights[1][1]
    assert all(each.y + each.height == first.floor for each in first.columns)


def test_buckets_stand_in_the_order_of_time() -> None:
    buckets = ["10m+", "1-3m", "0-10s", "3-10m", "30-60s", "10-30s", "long"]
    assert sorted(buckets, key=_lower_bound) == ["0-10s", "10-30s", "30-60s", "1-3m", "3-10m", "10m+", "long"]


def test_a_label_is_shortened_to_what_fits() -> None:
    assert shortened("/p/{item}", 9) == "/p/{item}"
    assert shortened("/category/{category}", 10) == "/category…"
