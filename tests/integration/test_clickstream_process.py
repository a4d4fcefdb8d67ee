"""The clickstream worker as processes on a real platform: killed, joined, told twice, and its numbers fit (C3)."""

import random
import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from deploy.local import stack
from deploy.local.stack import Stack
from schemas.clicks import Kind
from tests.fixtures import clicks
from tests.fixtures.clicks import Door, today
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform

ROUNDS = 6
CELLS = 1_200
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(platform: Platform) -> Iterator[Stack]:
    """The platform with this one worker; a second instance that a test added is gone afterwards."""
    yield stack.start(platform.stack.state, only=("clickstream",))
    platform.stack.stop_worker("clickstream-2")


def visits(door: Door, shop: str, rng: random.Random) -> list[clicks.Cell]:
    """Return what a busy while of a shop leaves: few popular cells, many rare ones."""
    made = []
    for _ in range(CELLS):
        kind, text = rng.choice((
            (Kind.PRODUCT, f"p{int(rng.expovariate(0.08))}"),
            (Kind.PAIR, f"p{int(rng.expovariate(0.3))}\tp{int(rng.expovariate(0.3))}"),
            (Kind.SEARCH, f"term {int(rng.expovariate(0.1))}"),
        ))  # fmt: skip
        made.append(door.cell(shop, today(), kind, text, f"v{rng.randrange(150)}"))
    return made


def close(running: Stack, shop: str) -> None:
    """Close what is open of a shop, as an operator does."""
    await_("the shop is known", lambda: clicks.is_open(running, shop))
    tried = lethe(running.layout.root, "statistics", "close", "--shop", shop, "--dry-run")
    assert tried == lethe(running.layout.root, "statistics", "close", "--shop", shop)


def shown(running: Stack, shop: str) -> dict[str, list[dict[str, object]]]:
    return lethe(running.layout.root, "statistics", "show", "--shop", shop, "--limit", "10000")  # type: ignore[no-any-return]


def is_published(running: Stack, shop: str) -> bool:
    windows = shown(running, shop)["windows"]
    return bool(windows) and {each["stage"] for each in windows} == {"published"}


def test_killed_joined_and_told_twice_it_publishes_what_the_topic_says(running: Stack) -> None:
    """kill -9 while counting and while closing, a second instance that comes and dies, every record twice (T1, C3)."""
    rng = random.Random(3)
    shop, door = f"shop-{secrets.token_hex(4)}", Door()
    for number in range(ROUNDS):
        records = door.records(shop, visits(door, shop, rng), most=20)
        clicks.send(running, records + rng.sample(records, len(records) // 2))
        if number == 1:
            running.add("clickstream", wait=False)
        if number in (2, 4):
            running.kill("clickstream-1")
            running.restart("clickstream-1", wait=False)
        if number == 3:
            running.kill("clickstream-2")
    close(running, shop)
    for _ in range(4):
        time.sleep(rng.random())
        running.kill("clickstream-1", signal.SIGKILL)
        running.restart("clickstream-1", wait=False)
    clicks.send(running, door.records(shop, visits(door, shop, rng)))
    await_("everything is published", lambda: is_published(running, shop), 90)
    told, masses = clicks.said(running, shop)
    assert (told, masses) == clicks.computed(running, shop)
    assert len(told) > 20 and len(masses) == 1
    table = {
        (shop, e["window"], e["kind"], e["cell"]): e["count"] for e in shown(running, shop)["statistics"]
    }
    assert table == told


def test_nothing_is_open_twice_and_a_wrong_window_is_no_window(running: Stack) -> None:
    assert lethe(running.layout.root, "statistics", "close", "--shop", "nobodys", expect=1) == {"closing": []}
    lethe(running.layout.root, "statistics", "close", "--window", "2026-02-30", expect=2)
