"""What is kept of what was published, whatever is said twice, late, or again from an earlier stretch."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import Kind
from schemas.envelope import Envelope
from schemas.statistics import Counted, Listed, Listing, MassDropped, Recommended
from schemas.topics import STATISTICS
from services.insights.app import build
from services.insights.domain import KEEP, Count, Dropped, Ranking, decide, state_key
from services.insights.memory import MemoryPublished
from services.kernel.broker.interface import Record
from services.kernel.decision import Given
from services.kernel.errors import RejectedRecord
from services.kernel.storage.memory import MemoryStorage
from services.kernel.worker.worker import Received
from tests.unit.examples import examples
from tests.unit.insights_room import NOW, Room

GIVEN = Given("id", "", "/workers/clickstream", NOW, "f" * 32)
VIEWED = Counted(storefront="bookshop", kind=Kind.PRODUCT, window="2026-11-22", cell="Bread/knife", count=40)


def hot(through: str, *items: str, of: str | None = None) -> Recommended:
    listed = tuple(Listed(cell=each, score=float(number)) for number, each in enumerate(items, 1))
    return Recommended(storefront="bookshop", listing=Listing.HOT, of=of, through=through, items=listed)


def test_a_count_is_kept_as_it_was_said_first():
    """Two numbers of one cell could be subtracted from each other."""
    first = decide(None, VIEWED, GIVEN).state
    assert first == Count("bookshop", Kind.PRODUCT, "2026-11-22", "Bread/knife", 40)
    assert decide(first, VIEWED.model_copy(update={"count": 50}), GIVEN).state == first


def test_dropped_mass_is_kept_as_it_was_said_first():
    said = MassDropped(storefront="bookshop", day="2026-11-22", mass=70)
    first = decide(None, said, GIVEN).state
    assert first == Dropped("bookshop", "2026-11-22", 70)
    assert decide(first, said.model_copy(update={"mass": 80}), GIVEN).state == first


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        ("2026-11-21", "2026-11-22", True),
        ("2026-11-22", "2026-11-22", True),
        ("2026-11-22", "2026-11-21", False),
        ("2026-11-22T09", "2026-11-22T10", True),
        ("2026-11-22T10", "2026-11-22T09", False),
        ("2026-11-22", "2026-11-22T23", True),
        ("2026-11-22", "2026-11-22T22", False),
    ],
)
def test_a_list_gives_way_to_one_that_knows_as_much_or_more(before, after, replaced):
    """What counts is when the latest window ends, not how it is written."""
    old = decide(None, hot(before, "a"), GIVEN).state
    new = decide(old, hot(after, "b"), GIVEN).state
    assert (new != old) == replaced
    assert new.through == (after if replaced else before)


def test_the_same_list_again_changes_nothing():
    old = decide(None, hot("2026-11-22", "a", "b"), GIVEN).state
    assert decide(old, hot("2026-11-22", "a", "b"), GIVEN).state == old


def test_what_is_older_than_thirty_days_is_not_taken_in():
    """A restored database reads the whole topic again: what was removed by age does not come back."""
    late = GIVEN._replace(at=datetime(2026, 11, 23, tzinfo=UTC) + KEEP + timedelta(seconds=1))
    assert decide(None, VIEWED, late).state is None
    assert decide(None, VIEWED, late._replace(at=late.at - timedelta(seconds=2))).state is not None


@pytest.mark.parametrize("window", ["2026-13-01", "2026-11-31", "2026-11-22T24", "0000-01-01"])
def test_a_window_that_no_calendar_has_is_rejected(window):
    with pytest.raises(RejectedRecord) as caught:
        decide(None, VIEWED.model_copy(update={"window": window}), GIVEN)
    assert caught.value.code == "window-unknown"


def test_state_keys_are_apart_whatever_a_cell_holds():
    """A cell may hold slashes; what cannot comes before it."""
    of_one = hot("2026-11-22", "a", of="count/x")
    keys = {state_key(each, "") for each in (VIEWED, hot("2026-11-22", "a"), of_one)}
    assert keys == {
        "count/bookshop/product/2026-11-22/Bread/knife",
        "list/bookshop/hot/",
        "list/bookshop/hot/count/x",
    }


SAID = st.one_of(
    st.builds(
        lambda cell, number: VIEWED.model_copy(update={"cell": cell, "count": number * 10}),
        st.sampled_from("abc"), st.integers(1, 3),
    ),
    st.builds(lambda day, item: hot(f"2026-11-{day}", item), st.integers(18, 22), st.sampled_from("ab")),
)  # fmt: skip


@given(said=st.lists(SAID, max_size=12), cut=st.integers(0, 12), again=st.integers(0, 12))
@examples(60)
async def test_an_earlier_stretch_again_ends_where_the_first_reading_ended(said, cut, again):
    """Whatever the batches and whatever is read twice, the rows are those of reading once."""
    once, twice = MemoryStorage(), MemoryStorage()
    await fold(once, said)
    await fold(twice, said[:cut])
    await fold(twice, said[min(cut, again) :])
    await fold(twice, said[again:])
    counts = [
        {key: row for key, row in each.tables.worker["published"].items() if not isinstance(row, Ranking)}
        for each in (once, twice)
    ]
    assert counts[0] == counts[1]
    lists = [
        {key: row.through for key, row in each.tables.worker["published"].items() if isinstance(row, Ranking)}
        for each in (once, twice)
    ]
    assert lists[0] == lists[1]


async def fold(storage: MemoryStorage, events) -> None:
    """Fold events in one batch, as the loop does."""
    worker = build(Room().settings, MemoryPublished())
    storage.now = NOW
    received = [
        Received(
            Record(STATISTICS.name, 0, number, b"", b"", ()),
            Envelope(id=str(number), type=event.type, source="/workers/x"), event, "", worker.handler.key(event, ""),
        )
        for number, event in enumerate(events)
    ]  # fmt: skip
    async with storage.transaction("0") as tx:
        await worker.handler.handle(tx, received)
