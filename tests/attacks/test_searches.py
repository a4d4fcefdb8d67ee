"""A rare search term is a name: below a crowd nobody reads it, and forged visitors are what the crowd cannot stop."""

from collections import defaultdict

import pytest

from services.gateway.clicks.page import Page
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.crowds import opened
from tests.attacks.naive import naive
from tests.attacks.played import played, played_day
from tests.attacks.results import Result, keep
from tests.attacks.seen import Stream
from tests.attacks.visits import Day, Shape, Visit, Visitor, day_of, needs_data

pytestmark = needs_data
CROWD = 10
SYLLABLES = ("bra", "del", "fin", "gor", "hul", "kem", "lan", "mir", "nov", "pel", "ros", "tav")


def names() -> list[tuple[str, int]]:
    """Return words that no list knows, as names are, each with how many visitors search for it: 1 to 12."""
    firsts = [SYLLABLES[at % 12] + SYLLABLES[at // 12] for at in range(60)]
    lasts = [SYLLABLES[(at * 5 + 3) % 12] + SYLLABLES[(at * 7 + 1) % 12] for at in range(60)]
    made = [f"{first} {last}sen" for first, last in zip(firsts, lasts, strict=True)]
    return [(name, at % 12 + 1) for at, name in enumerate(made)]


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape("searched", share=0.1, products=40, more_terms=tuple(names()))


def test_a_term_of_less_than_a_crowd_is_read_by_nobody(shape: Shape) -> None:
    """Not published, and not on the topic either; what a crowd searched for is readable."""
    stream = played(shape)
    rare = [name for name, visitors in names() if visitors < CROWD]
    common = [name for name, visitors in names() if visitors >= CROWD]
    assert {cell.text for cell in stream.cells if cell.kind == "search"} >= set(common)
    everything = b"".join(raw.value + b"".join(value for _, value in raw.headers) for raw in stream.raw)
    read = {cell.text for cell in stream.cells}
    found = [
        name
        for name in rare
        if name in read or name.encode() in everything or name.split()[0].encode() in everything
    ]
    plain = [name for name in rare if name in {cell.text for cell in naive(shape).cells}]
    keep(
        "rare search terms",
        real=Result(len(found), len(rare), 0.0),
        naive=Result(len(plain), len(rare), 0.0),
    )  # fmt: skip
    assert len(rare) == 45
    assert not found
    assert len(plain) == len(rare)


def test_a_forged_share_does_not_complete_a_crowd(shape: Shape) -> None:
    """Who only reads the topic cannot make the shares that lack: every guess is one of 2^127."""
    stream = played(shape)
    right = claims = 0
    for name, sealed, shares in _closed(stream):
        forged = {f"{'A' * 10}{at:02d}": f"{at:022d}" for at in range(CROWD - len(shares))}
        claims += 1
        try:
            right += bool(opened(name, sealed, {**shares, **forged}, CROWD))
        except RejectedRecord:
            continue
    keep("shares made up", real=Result(right, claims, 0.0))
    assert claims > 100
    assert not right


def test_forged_visitors_win(shape: Shape) -> None:
    """Unprotected: who visits with k - 1 browsers behind as many addresses learns whether somebody was the k-th."""
    day = day_of(shape)
    suspected = [(name, visitors) for name, visitors in names() if visitors == 1]
    absent = [f"{name} junior" for name, _ in suspected]
    forged = [visit for term in [*(name for name, _ in suspected), *absent] for visit in _crowd_of(term, day)]
    visits = tuple(sorted((*day.visits, *forged), key=lambda visit: visit.at))
    stream = played_day(Day(day.site, visits, day.orders), shape)
    read = {cell.text for cell in stream.cells if cell.kind == "search"}
    right = sum(name in read for name, _ in suspected) + sum(name not in read for name in absent)
    result = Result(right, len(suspected) + len(absent), 0.5)
    keep("k - 1 forged visitors", unprotected=result)
    assert result.rate == 1.0


def _crowd_of(term: str, day: Day) -> list[Visit]:
    """Return one search each of forged visitors, one less than a crowd, in the hour in which it is expected."""
    at = next(visit.at for visit in day.visits if visit.page.term)
    at = at.replace(hour=12, minute=30)
    page = Page(location="/search", referrer="/", term=term, visible_seconds=20)
    return [
        Visit(at, Visitor(1_000_000 + number, f"203.0.113.{number + 1}", "Forged/1.0"), page)
        for number in range(CROWD - 1)
    ]


def _closed(stream: Stream) -> list[tuple[str, str, dict[str, str]]]:
    """Return cells that no crowd opened: id, sealed text, shares."""
    shares: dict[str, dict[str, str]] = defaultdict(dict)
    sealed: dict[str, str] = {}
    for cell in stream.cells:
        if cell.text is None:
            sealed[cell.id] = stream.sealed[cell.id][0]
            shares[cell.id][cell.tag] = stream.sealed[cell.id][1][cell.tag]
    return [(name, sealed[name], shares[name]) for name in sorted(shares)]
