"""Whoever reads the topic cannot bring two things together that one visitor did, nor a thing and a person (C3).

Every attack is made on what the gateway writes and on a naive variant of the same day, on which it must succeed: so it
is the design that fails it, and not the attack that is a bad one.
"""

from collections.abc import Callable

import pytest

from tests.attacks import linking
from tests.attacks.naive import naive
from tests.attacks.played import played
from tests.attacks.results import Result, keep, pooled
from tests.attacks.seen import Stream
from tests.attacks.visits import Day, Shape, day_of, needs_data

pytestmark = needs_data
Attack = Callable[[Stream, Day], Result]

ATTACKS: dict[str, Attack] = {
    "same or closest tag": lambda stream, _: linking.by_tag(stream),
    "neighbours in the log": lambda stream, _: linking.by_neighbour(stream),
    "same batch": lambda stream, _: linking.by_batch(stream),
    "chain of transitions": lambda stream, _: linking.by_chain(stream, "transition"),
    "known moment of a visit": linking.by_time,
    "order to another product": linking.by_order,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_linked(name: str, shapes: list[Shape]) -> None:
    """An attacker who has the topic does no better than one who guesses; on the naive variant he does."""
    real = pooled(ATTACKS[name](played(shape), day_of(shape)) for shape in shapes)
    plain = pooled(ATTACKS[name](naive(shape), day_of(shape)) for shape in shapes)
    keep(name, real=real, naive=plain)
    assert plain.wins
    assert real.claims >= 100
    assert not real.wins


def test_pairs_do_not_chain(shapes: list[Shape]) -> None:
    """Nobody can read a pair of products that no crowd looked at; in clear, rare products chain into a visit."""
    real = pooled(linking.by_chain(played(shape), "pair") for shape in shapes)
    plain = pooled(linking.by_chain(naive(shape), "pair") for shape in shapes)
    keep("chain of pairs", real=real, naive=plain)
    assert plain.wins
    assert not real.wins
    assert sum(cell.kind == "pair" for shape in shapes for cell in played(shape).cells) > 100


def test_who_comes_back_is_not_known_by_the_hours(shapes: list[Shape]) -> None:
    """A tag of the day leaves in one hour only: the hours in which somebody came are nobody's mark."""
    real = pooled(linking.by_return(played(shape)) for shape in shapes)
    plain = pooled(linking.by_return(naive(shape)) for shape in shapes)
    keep("came back in the same hours", real=real, naive=plain)
    assert plain.wins
    assert not real.wins


@pytest.mark.parametrize("name", ["neighbours in the log", "same batch", "chain of transitions"])
def test_the_hour_is_what_hides(name: str, shapes: list[Shape]) -> None:
    """The same gateway that lets a crowd leave every five seconds, as was designed at first, is broken by its order."""
    quick = pooled(ATTACKS[name](played(shape, 5.0), day_of(shape)) for shape in shapes[1:2])
    keep(f"{name}, every 5 s", quick=quick)
    assert quick.wins


def test_a_record_says_the_hour_and_nothing_finer(shapes: list[Shape]) -> None:
    """Neither in its time nor in its headers; no key, and an id that says nothing of when or where."""
    for raw in played(shapes[0]).raw:
        assert raw.timestamp_ms % 3_600_000 == 0
        assert not raw.key
        headers = dict(raw.headers)
        assert headers["ce_time"].decode().split("T")[1].startswith(("0", "1", "2"))
        assert headers["ce_time"].decode()[13:].rstrip("Z0") in (":00:", ":")
        assert headers["ce_id"].decode()[14] == "4"
        assert not {name for name in headers if "trace" in name or "subject" in name}


def test_a_batch_is_a_crowd(shapes: list[Shape]) -> None:
    """Whatever leaves together comes from at least a crowd of visitors."""
    for shape in shapes:
        stream = played(shape)
        batches: dict[int, set[int]] = {}
        for cell in stream.cells:
            batches.setdefault(cell.flush, set()).add(stream.truth.visitor(cell))
        assert min(map(len, batches.values())) >= 10
