"""Windows close while workers, Kafka and PostgreSQL die: what is told follows from the topic and the cuts alone."""

import random
import secrets
import time
from pathlib import Path

import pytest

from deploy.local import stack as platforms
from deploy.local.stack import Stack
from schemas.clicks import Kind
from tests.fixtures import clicks
from tests.fixtures.clicks import Door
from tests.fixtures.evidence import await_
from tests.fixtures.platform import temporary_state

WORKERS = ("clickstream",)
VICTIMS = ("clickstream-1", "clickstream-2", "postgres-data", "kafka")
SHOPS, ROUNDS, CELLS = 3, 8, 600


@pytest.mark.full
@pytest.mark.slow
def test_numbers_follow_from_the_topic_whatever_is_killed(seed: int) -> None:
    """kill -9 of each in turn, before and while windows close; two instances, every record twice (T1, C3)."""
    rng = random.Random(seed)
    with temporary_state() as state:
        running = platforms.start(state, only=WORKERS)
        running.add("clickstream")
        shops = [f"shop-{secrets.token_hex(4)}" for _ in range(SHOPS)]
        door = Door()
        for number in range(ROUNDS):
            for shop in shops:
                records = door.records(shop, _visits(door, shop, rng), most=30)
                clicks.send(running, records + records[: len(records) // 2])
            _kill(running, VICTIMS[number % len(VICTIMS)], rng)
            running = _repaired(state)
        for shop in shops:
            await_("the shop is known", lambda shop=shop: clicks.is_open(running, shop), 90)
            clicks.ask(running, shop)
        for victim in rng.sample(VICTIMS, len(VICTIMS)):
            _kill(running, victim, rng)
            running = _repaired(state)
        for shop in shops:
            await_("the shop is published", lambda shop=shop: clicks.is_told(running, shop), 120)
        await_("everything is on Kafka", lambda: all(_fits(running, shop) for shop in shops), 60)


def _visits(door: Door, shop: str, rng: random.Random) -> list[clicks.Cell]:
    return [
        door.cell(
            shop, clicks.today(), Kind.SEARCH, f"term {int(rng.expovariate(0.1))}", f"v{rng.randrange(90)}"
        )
        for _ in range(CELLS)
    ]


def _kill(running: Stack, victim: str, rng: random.Random) -> None:
    time.sleep(2 * rng.random())
    running.kill(victim)
    time.sleep(rng.random())


def _repaired(state: Path) -> Stack:
    """Start what does not run, with two instances of the worker."""
    running = platforms.start(state, only=WORKERS)
    if not any(
        each.instance == "clickstream-2" and each.state in ("ready", "starting") for each in running.status()
    ):
        running.add("clickstream", wait=False)
    return running


def _fits(running: Stack, shop: str) -> bool:
    """Whether the topic has all; fails at once where it has something twice, or another number."""
    told, masses = clicks.said(running, shop)
    wanted, dropped = clicks.computed(running, shop)
    assert told.items() <= wanted.items() and masses.items() <= dropped.items(), "not what the topic says"
    return bool(told) and (told, masses) == (wanted, dropped)
