"""A text that a crowd shares opens for a crowd, and for nobody less."""

import itertools
import secrets
import time

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import KeyringUnavailable, RejectedRecord
from services.kernel.sealing.crowds import CrowdSealed, opened
from services.kernel.sealing.tagging import TagKey

PARTS = ("shop", "search", "2026-11-23", "blue lamp")


def key(material: bytes = bytes(range(32)), number: int = 1) -> TagKey:
    return TagKey(number, material, 3600.0, SystemClock())


def tags(count: int) -> list[str]:
    return [secrets.token_urlsafe(9) for _ in range(count)]


def sealed(crowd: int = 10, parts: tuple[str, ...] = PARTS, of: TagKey | None = None) -> CrowdSealed:
    return CrowdSealed(of or key(), crowd, parts, parts[-1])


def shares(cell: CrowdSealed, count: int) -> dict[str, str]:
    return {tag: cell.share(tag) for tag in tags(count)}


@pytest.mark.parametrize("text", ["a", "blue lamp", "x" * 64, "x" * 65, "größe 42\tü", "猫" * 250])
@pytest.mark.parametrize("more", [0, 1, 90])
def test_a_crowd_opens_it(text: str, more: int) -> None:
    cell = sealed(parts=("shop", "search", "2026-11-23", text))
    assert opened(cell.id, cell.sealed, shares(cell, 10 + more), 10) == text


def test_one_less_than_a_crowd_opens_nothing() -> None:
    """Not by the function, and not by telling it that the crowd is smaller."""
    cell = sealed()
    few = shares(cell, 9)
    with pytest.raises(RejectedRecord, match="crowd-missing"):
        opened(cell.id, cell.sealed, few, 10)
    for crowd in range(1, 10):
        with pytest.raises(RejectedRecord, match="unsealing-failed"):
            opened(cell.id, cell.sealed, few, crowd)


def test_the_shares_of_less_than_a_crowd_fit_every_text() -> None:
    """Whatever the tenth share were, the nine that are there would agree: they say nothing of the text."""
    cell = sealed()
    few = shares(cell, 9)
    for _ in range(20):
        guessed = {**few, secrets.token_urlsafe(9): secrets.token_urlsafe(16)}
        with pytest.raises(RejectedRecord, match="unsealing-failed"):
            opened(cell.id, cell.sealed, guessed, 10)


def test_one_visitor_who_comes_ten_times_is_no_crowd() -> None:
    cell = sealed()
    (tag,) = tags(1)
    assert len({cell.share(tag) for _ in range(10)}) == 1
    with pytest.raises(RejectedRecord, match="crowd-missing"):
        opened(cell.id, cell.sealed, {tag: cell.share(tag)}, 10)


def test_gateways_that_know_nothing_of_each_other_make_one_crowd() -> None:
    one, other = sealed(of=key()), sealed(of=key())
    assert (one.id, one.sealed) == (other.id, other.sealed)
    assert opened(one.id, one.sealed, shares(one, 4) | shares(other, 6), 10) == PARTS[-1]


@pytest.mark.parametrize("changed", range(4))
def test_no_two_cells_have_anything_in_common(changed: int) -> None:
    parts = tuple(part + ("2" if at == changed else "") for at, part in enumerate(PARTS))
    one, other = sealed(), sealed(parts=parts)
    (tag,) = tags(1)
    assert one.id != other.id
    assert one.sealed != other.sealed
    assert one.share(tag) != other.share(tag)


def test_another_key_makes_another_cell() -> None:
    assert sealed().id != sealed(of=key(bytes(32))).id


def test_a_dead_key_makes_nothing() -> None:
    with pytest.raises(KeyringUnavailable):
        sealed(of=TagKey(1, bytes(32), 0.0, SystemClock()))


def test_a_smaller_crowd_elsewhere_does_not_open_what_a_larger_one_sealed() -> None:
    cell = sealed(crowd=10)
    with pytest.raises(RejectedRecord, match="unsealing-failed"):
        opened(cell.id, cell.sealed, shares(cell, 20), 5)


def test_a_larger_crowd_than_it_was_sealed_for_opens_it_as_well() -> None:
    cell = sealed(crowd=5)
    assert opened(cell.id, cell.sealed, shares(cell, 10), 10) == PARTS[-1]


@pytest.mark.parametrize("broken", ["", "*", "AAAA", "A" * 107])
def test_what_was_altered_does_not_open(broken: str) -> None:
    cell = sealed()
    with pytest.raises(RejectedRecord, match="unsealing-failed"):
        opened(cell.id, broken, shares(cell, 10), 10)


def test_a_false_share_spoils_the_opening_and_never_makes_another_text() -> None:
    cell = sealed()
    given = shares(cell, 10)
    with pytest.raises(RejectedRecord, match="unsealing-failed"):
        opened(cell.id, cell.sealed, {**given, next(iter(given)): secrets.token_urlsafe(16)}, 10)


def test_lengths_say_little() -> None:
    texts = [*map("x".__mul__, (1, 20, 64)), "ü" * 32]
    assert len({len(sealed(parts=("shop", "search", "2026-11-23", text)).sealed) for text in texts}) == 1


def test_its_repr_says_nothing() -> None:
    assert repr(sealed()) == "CrowdSealed()"


def test_it_costs_little() -> None:
    """Some ten microseconds a cell; a slow machine is given a hundred times that."""
    living = key()
    started = time.perf_counter()
    for number, tag in itertools.islice(zip(itertools.count(), itertools.cycle(tags(50))), 1000):
        CrowdSealed(living, 10, (*PARTS, str(number)), "text").share(tag)
    assert time.perf_counter() - started < 2
