"""One process at a time: killed, asked to stop, or frozen until others have taken its lanes; many joins and leaves."""

import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults import faults
from tests.faults.faulty import PROCESSES, WORKERS, Faulty
from tests.faults.trial import Trial
from tests.fixtures.counted import samples
from tests.fixtures.evidence import await_

Begin = Callable[..., Trial]
INSTANCES = [f"{worker}-1" for worker in WORKERS]
TOLD = "lethe_lag_records"


@pytest.mark.full
def test_nothing_happens(trial: Begin) -> None:
    """Undisturbed, effects are what the rules say: every other trial is held to the same (T1)."""
    trial(orders=200, people=4).judge()


@pytest.mark.full
@pytest.mark.parametrize("instance", PROCESSES)
def test_a_process_is_killed(trial: Begin, faulty: Faulty, instance: str) -> None:
    """kill -9 while orders and erasures are on their way; started again, as by a supervisor (T1, T5)."""
    it = trial()
    it.load()
    with it.fault("kill -9", instance), faults.killed(faulty, instance):
        it.load()
    it.judge()


def test_every_worker_is_killed_at_once(trial: Begin, faulty: Faulty) -> None:
    """kill -9 of all five in the middle of orders and erasures: what each had in hand comes out once (T1, R3)."""
    it = trial(orders=90)
    it.load()
    with it.fault("kill -9", "all workers"), faults.killed(faulty, *INSTANCES):
        it.load()
    it.judge()


@pytest.mark.full
def test_a_worker_is_asked_to_stop(trial: Begin, faulty: Faulty) -> None:
    """SIGTERM, one worker after the other: what is in hand is finished or rolled back, and it ends with 0 (T5)."""
    it, stack = trial(orders=120, people=4, phases=len(INSTANCES)), faulty.stack
    for instance in INSTANCES:
        it.load()
        with it.fault("SIGTERM", instance):
            stack.kill(instance, signal.SIGTERM)
            faulty.await_gone(instance)
            assert stack.exit_code(instance) in (0, None)  # None: this process did not start it.
            faulty.repair(instance)
    it.judge()


@pytest.mark.full
def test_a_zombie_wakes_with_what_it_had_in_hand(trial: Begin, faulty: Faulty) -> None:
    """SIGSTOP past the session, others take its lanes, SIGCONT: what it had in hand has no second effect (T1)."""
    it = trial(orders=180, people=5, phases=6)
    for worker in ("orders", "carriers", "erasure"):
        with faults.joined(faulty, worker) as guest:
            it.load()
            lanes = _partitions(faulty, guest)
            it.history.tell("lanes", **{guest: {topic: sorted(numbers) for topic, numbers in lanes.items()}})
            with it.fault("SIGSTOP, SIGCONT", guest), faults.frozen(faulty, guest):
                it.load()
                it.noticed(
                    f"others have the lanes of {guest}",
                    holds=lambda name=f"{worker}-1", lanes=lanes: _has(_partitions(faulty, name), lanes),
                )
    it.judge()


def _has(lanes: dict[str, frozenset[int]], others: dict[str, frozenset[int]]) -> bool:
    """Whether somebody has all lanes that another one had."""
    return all(numbers <= lanes.get(topic, frozenset()) for topic, numbers in others.items())


@pytest.mark.full
def test_a_process_that_is_alone_is_frozen(trial: Begin, faulty: Faulty) -> None:
    """Nobody takes over: after SIGCONT it goes on, and nothing was lost or said twice (T1)."""
    it = trial(orders=120, people=5, phases=6)
    for instance in ("keyring-1", "gateway-1", "orders-1"):
        it.load()
        with it.fault("SIGSTOP, SIGCONT", instance), faults.frozen(faulty, instance):
            it.load()
        faulty.await_ready()
    it.judge()


@pytest.mark.full
def test_instances_join_and_leave_every_two_seconds(trial: Begin, faulty: Faulty) -> None:
    """No rebalance ever comes to rest, and still nothing is lost, doubled or reordered (T1)."""
    it = trial(orders=150)
    it.load()
    guests: list[str] = []
    with it.fault("join, leave", "orders and carriers"):
        for round_ in range(12):
            guests.append(faulty.stack.add(("orders", "carriers")[round_ % 2], wait=False))
            if round_ == 4:
                it.load()
            time.sleep(2)
            if len(guests) > 2:
                faulty.stack.kill(guests[0], signal.SIGTERM if round_ % 3 else signal.SIGKILL)
                faulty.await_gone(guests.pop(0))
        for guest in guests:
            faults.let_leave(faulty, guest)
    it.judge()


@pytest.mark.full
def test_a_rolling_deploy_adds_a_topic(trial: Begin, faulty: Faulty) -> None:
    """One instance reads a topic more than the other: no lane is split between them, nothing is lost (T1)."""
    it = trial(orders=120)
    with faults.reads_one_more(faulty, "orders") as (guest, topic):
        lanes = {name: _partitions(faulty, name) for name in ("orders-1", guest)}
        it.history.tell(
            "lanes", **{name: {each: sorted(of) for each, of in by.items()} for name, by in lanes.items()}
        )
        assert topic in lanes[guest] and topic not in lanes["orders-1"], json.dumps(list(lanes[guest]))
        for by_topic in lanes.values():
            assert by_topic["orders"] == by_topic["deliveries"] == by_topic["erasure.commands"]
        assert lanes[guest][topic] == lanes[guest]["orders"]
        with it.fault("rolling deploy", guest, topic=topic):
            it.load()
            with faults.killed(faulty, "orders-1"):
                it.load()
            it.load()
    it.judge()


def _partitions(faulty: Faulty, instance: str) -> dict[str, frozenset[int]]:
    """Return which partitions of each topic an instance watches, as its metrics say, once both share the lanes."""

    def told() -> dict[str, frozenset[int]] | None:
        found: dict[str, set[int]] = {}
        for sample in samples(faulty.metrics(instance), TOLD):
            found.setdefault(sample.labels["topic"], set()).add(int(sample.labels["partition"]))
        return {topic: frozenset(numbers) for topic, numbers in found.items()} or None

    return await_(f"{instance} tells its lanes", told)
