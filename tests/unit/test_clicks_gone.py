"""What has left once does not leave again, and what is new is seldom taken for it."""

import secrets

from schemas.clicks import Kind
from services.gateway.clicks.contribution import Contribution
from services.gateway.clicks.gone import Gone


def contributions(count: int) -> list[Contribution]:
    return [
        Contribution(
            Kind.PRODUCT, "2026-11-23", secrets.token_urlsafe(16), secrets.token_urlsafe(9), "share", "sealed"
        )
        for _ in range(count)
    ]


def test_what_left_is_known_whatever_else_left() -> None:
    gone, left = Gone(1 << 16), contributions(2_000)
    for each in left:
        gone.note(1, [each])
    assert all(gone.holds(1, each) for each in left)


def test_what_is_new_is_seldom_taken_for_it() -> None:
    """At the load of four million in its full size: 0.016 % are lost; here one in a thousand would still pass."""
    gone = Gone(1 << 17)
    gone.note(1, contributions(4_000))
    assert sum(gone.holds(1, each) for each in contributions(10_000)) < 10


def test_another_visitor_or_another_cell_is_new() -> None:
    gone, (one, other) = Gone(), contributions(2)
    gone.note(1, [one])
    assert not gone.holds(1, one._replace(tag=other.tag))
    assert not gone.holds(1, one._replace(id=other.id))


def test_another_key_knows_nothing_of_it_and_the_one_before_last_is_forgotten() -> None:
    gone, (one, *others) = Gone(1 << 16), contributions(4)
    gone.note(1, [one])
    assert not gone.holds(2, one)
    gone.note(2, others[:1])
    assert gone.holds(1, one)
    gone.note(3, others[1:])
    assert not gone.holds(1, one)
    assert gone.holds(2, others[0])


def test_its_repr_says_nothing() -> None:
    assert repr(Gone()) == "Gone()"
