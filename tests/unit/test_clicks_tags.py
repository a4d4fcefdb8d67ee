"""A tag is the same for one visitor of one cell in one window, and has nothing in common with any other (C3)."""

import copy
import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clicks import Kind
from services.gateway.clicks.tags import Visitor
from services.kernel.errors import KeyringUnavailable
from services.kernel.sealing.tagging import TagKey
from tests.unit.clicks_room import NOON, HandClock
from tests.unit.examples import examples

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def key(material: bytes = b"k" * 32, clock: HandClock | None = None) -> TagKey:
    return TagKey(7, material, 3_600.0, clock or HandClock())


def tag(
    of: TagKey | None = None, shop: str = "shop", address: str = "10.0.0.1", agent: str = AGENT,
    kind: Kind = Kind.SEARCH, window: str = "2026-11-23", cell: str = "red shoes",
) -> str:  # fmt: skip
    return Visitor(of or key(), shop, address, agent).tag(kind, window, cell)


def test_a_tag_is_the_same_as_long_as_everything_is() -> None:
    assert tag() == tag()
    assert len(tag()) == 12


@pytest.mark.parametrize(
    "other",
    [
        {"of": key(b"x" * 32)}, {"shop": "stall"}, {"address": "10.0.0.2"}, {"agent": AGENT + " "},
        {"kind": Kind.PRODUCT}, {"window": "2026-11-23T10"}, {"cell": "red shoe"},
    ],
)  # fmt: skip
def test_anything_else_makes_another_tag(other: dict[str, object]) -> None:
    """So no two tags of one visitor have anything in common."""
    assert tag(**other) != tag()  # type: ignore[arg-type]


def test_what_belongs_to_the_cell_cannot_pass_for_the_visitor() -> None:
    assert tag(shop="ab", agent="c") != tag(shop="a", agent="bc")
    assert tag(window="2026-11-23T1", cell="0x") != tag(window="2026-11-23T10", cell="x")


def test_who_comes_from_one_network_is_known_to_whatever_he_calls_his_browser() -> None:
    """In one shop and under one key, and by nothing that a tag could be made of."""
    of = key()

    def network(address: str, agent: str = AGENT, shop: str = "shop") -> bytes:
        return Visitor(of, shop, address, agent).network

    assert network("10.0.0.1") == network("10.0.0.1", "Other/1") == network("::ffff:10.0.0.1")
    assert network("10.0.0.1") != network("10.0.0.2")
    assert network("10.0.0.1") != network("10.0.0.1", shop="stall")
    assert network("10.0.0.1") != Visitor(key(b"x" * 32), "shop", "10.0.0.1", AGENT).network
    assert network("10.0.0.1") != Visitor(of, "shop", "10.0.0.1", AGENT).mark
    assert network("2001:db8:1:2::3") == network("2001:db8:1:ffff::", "Other/1") != network("2001:db8:2:2::3")
    assert network("") == network("jane", "Other/1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_whoever_tries_things_out_on_one_machine_has_a_network_for_each_browser(address: str) -> None:
    one, same, other = (Visitor(key(), "shop", address, agent).network for agent in ("A", "A", "B"))
    assert one == same != other


def test_the_mark_in_the_crowd_is_no_tag_and_makes_none() -> None:
    visitor = Visitor(key(), "shop", "10.0.0.1", AGENT)
    assert visitor.mark == Visitor(key(), "shop", "10.0.0.1", AGENT).mark
    assert visitor.mark != Visitor(key(), "stall", "10.0.0.1", AGENT).mark
    assert repr(visitor) == "Visitor()"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("jane", ""),
        ("10.0.0.1:443", ""),
    ],
)
def test_an_address_is_what_a_household_has(address: str, network: str) -> None:
    """Its devices change the last 64 bits at will; what is no address makes nobody a crowd."""
    assert tag(address=address) == tag(address=network)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@examples(100)
def test_any_text_can_be_tagged(address: str, agent: str, cell: str) -> None:
    assert len(tag(address=address, agent=agent, cell=cell)) == 12
    assert tag(agent="\ud800", cell="\udfff") == tag(agent="\ud800", cell="\udfff")


def test_a_dead_key_makes_nothing() -> None:
    clock = HandClock()
    dying = key(clock=clock)
    clock.seconds += 3_599
    assert dying.mac(b"x") and 0 < dying.dies_in_seconds <= 1
    clock.seconds += 1
    assert dying.dies_in_seconds == 0
    for _ in range(2):
        with pytest.raises(KeyringUnavailable, match="tag-key-dead"):
            dying.mac(b"x")
    clock.seconds -= 1_000
    with pytest.raises(KeyringUnavailable):
        dying.mac(b"x")


def test_a_machine_that_slept_over_midnight_has_no_key() -> None:
    """Its clock of seconds slept as well; the time of day did not."""
    clock = HandClock()
    slept = key(clock=clock)
    clock.now = lambda: NOON + timedelta(hours=1)  # type: ignore[method-assign]
    with pytest.raises(KeyringUnavailable):
        slept.mac(b"x")


def test_a_dropped_key_makes_nothing() -> None:
    dropped = key()
    dropped.drop()
    assert dropped.dies_in_seconds == 0
    with pytest.raises(KeyringUnavailable):
        dropped.mac(b"x")


def test_no_key_lives_longer_than_a_day_whatever_was_answered() -> None:
    clock = HandClock()
    assert TagKey(1, b"k" * 32, 1e9, clock).dies_in_seconds == 86_400
    clock.seconds = 100
    late = TagKey(1, b"k" * 32, 50.0, clock, asked_at=20.0)
    assert late.dies_in_seconds == 0


@pytest.mark.parametrize(("number", "material"), [(0, b"k" * 32), (1, b"k" * 31), (1, b"")])
def test_what_is_no_key_is_refused(number: int, material: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TagKey(number, material, 1.0, HandClock())


def test_a_key_is_neither_shown_nor_copied() -> None:
    assert repr(key()) == str(key()) == "TagKey(7)"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(key())
