"""What everybody stands on: Kafka, PostgreSQL, the keyring, the connections to them, the disk, the clock."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.faults import faults, rules
from tests.faults.faulty import WORKERS, Faulty
from tests.faults.oracles import OFFERED
from tests.faults.trial import Trial
from tests.fixtures import evidence

Begin = Callable[..., Trial]
DAY = 86_400.0
LEASE_OVER_SECONDS = 15.0
"""Longer than a worker may use a key that it was given."""


@pytest.mark.full
def test_kafka_is_killed_and_stays_away(trial: Begin, faulty: Faulty) -> None:
    """The shop is told to wait; workers live and say that they are not ready; nothing is lost (T1)."""
    it = trial()
    order = it.orders.plan(rules.NEVER_PAID)
    it.load()
    with it.fault("kill -9", "kafka", away_seconds=10), faults.killed(faulty, "kafka"):
        it.load()
        it.noticed("the door answers 503", holds=lambda: it.door(order[0]) == 503)
        for worker in WORKERS:
            it.noticed(f"{worker} waits", holds=lambda name=worker: faulty.waits(f"{name}-1"))
        time.sleep(10)
    for event in order:
        it.shop.say([event])
    it.judge()


@pytest.mark.full
def test_kafka_is_restarted_again_and_again(trial: Begin, faulty: Faulty) -> None:
    """Three times in order, while the load goes on (T1)."""
    it = trial(orders=90)
    for _ in range(3):
        it.load()
        with it.fault("SIGTERM", "kafka"), faults.killed(faulty, "kafka", number=signal.SIGTERM):
            pass
    it.judge()


@pytest.mark.full
def test_kafka_is_slow(trial: Begin, faulty: Faulty) -> None:
    """It gets a fifth of its time for twenty seconds: everything is late, nothing is wrong (T1)."""
    it = trial()
    with it.fault("slow", "kafka"), faults.slow(faulty, "kafka"):
        it.load()
        time.sleep(20)
        it.load()
    it.judge()


@pytest.mark.full
def test_postgresql_is_stopped_at_once(trial: Begin, faulty: Faulty) -> None:
    """`immediate`: no checkpoint, no goodbye; what was committed is there afterwards, what was not is done again."""
    it = trial(orders=90)
    for cluster in ("data", "keyring"):
        it.load()
        with it.fault("immediate stop", f"postgres-{cluster}"), faults.stopped_at_once(faulty, cluster):
            time.sleep(3)
    it.judge()


def test_everything_below_the_workers_is_killed(trial: Begin, faulty: Faulty) -> None:
    """Kafka and both databases at once, kill -9: the workers wait and go on by themselves (T1, T5)."""
    it, pids = trial(orders=90), {name: faulty.stack.pid(f"{name}-1") for name in WORKERS}
    it.load()
    below = ("kafka", "postgres-data", "postgres-keyring")
    with it.fault("kill -9", ", ".join(below)), faults.killed(faulty, *below):
        it.load()
    it.judge()
    assert {name: faulty.stack.pid(f"{name}-1") for name in WORKERS} == pids, "who only had to wait has died"


@pytest.mark.full
def test_connections_to_the_database_are_ended_by_the_server(trial: Begin, faulty: Faulty) -> None:
    """pg_terminate_backend of every worker's connection, every second for ten (T1)."""
    it = trial(orders=90)
    it.load()
    with it.fault("pg_terminate_backend", "all workers"), faults.backends_terminated(faulty, *WORKERS):
        it.load()
        time.sleep(10)
    it.judge()


@pytest.mark.full
def test_connections_to_the_database_are_reset(trial: Begin, faulty: Faulty) -> None:
    """RST in the middle of whatever is being said, again and again, one worker after the other (T1)."""
    it, cut = trial(orders=200, people=5, phases=len(WORKERS)), dict.fromkeys(WORKERS, 0)
    for worker in WORKERS:
        with faults.resettable(faulty, f"{worker}-1") as proxy:
            it.load()
            with it.fault("reset", f"{worker}-1"):
                for _ in range(24):
                    cut[worker] += proxy.reset()
                    time.sleep(0.25)
    assert all(cut.values()), f"nothing was ever cut: {cut}"
    it.judge()


LOCKS = {
    "LOCK TABLE orders.lane IN ACCESS EXCLUSIVE MODE": "orders",
    "SELECT FROM carriers.lane FOR UPDATE": "carriers",
    "LOCK TABLE orders.orders, carriers.shipment, erasure.erasure IN ACCESS EXCLUSIVE MODE": "orders",
}
"""What is locked, and a worker that must meet it."""
GIVEN_UP = "lethe_retries_total"


@pytest.mark.full
def test_a_lock_is_held(trial: Begin, faulty: Faulty) -> None:
    """Longer than a statement may wait: workers give up, try again, and dead-letter nothing (T1)."""
    it = trial(orders=120, people=3, phases=len(LOCKS) + 1)
    it.load()
    for statement, worker in LOCKS.items():
        before = faulty.counted(f"{worker}-1", GIVEN_UP)
        with it.fault("lock held", statement), faults.locked(faulty, statement):
            it.load()
            it.noticed(
                f"{worker} has given up a batch",
                holds=lambda name=f"{worker}-1", before=before: faulty.counted(name, GIVEN_UP) > before,
            )
            time.sleep(5)
    it.judge()


@pytest.mark.full
@pytest.mark.parametrize("cluster", ["data", "keyring"])
def test_the_disk_is_full(trial: Begin, faulty: Faulty, cluster: str) -> None:
    """No file of a database may grow: it stops itself; when there is room again it goes on where it was (T1)."""
    it, instance = trial(), f"postgres-{cluster}"
    it.load()
    with it.fault("disk full", instance), faults.disk_full(faulty, cluster):
        it.load()
        it.noticed(
            "a worker is not ready", holds=lambda: not all(faulty.ready(f"{each}-1") for each in WORKERS)
        )
        time.sleep(5)
    it.judge()


PAID = "SELECT count(*) FROM orders.orders WHERE stage = 'paid' AND order_id = ANY ($1)"
LABELS = "SELECT count(*) FROM carriers.outbox WHERE partner IS NOT NULL AND sealed <> '{}'"


def _count(faulty: Faulty, sql: str, *arguments: object) -> int:
    return int(evidence.rows(faulty.stack.admin_dsn("data", "lethe"), sql, *arguments)[0]["count"])


@pytest.mark.full
def test_the_keyring_is_away_for_a_minute(trial: Begin, faulty: Faulty) -> None:
    """The door answers 503, gateway and dispatch wait; after the last lease no label leaves (U1, T1)."""
    it, partners = trial(), [carrier.shipments for carrier in faulty.carriers]
    order = it.orders.plan(rules.NEVER_PAID)
    with ExitStack() as held:
        # Dispatch is held up until the keyring is gone: there are labels, then, that could leave.
        held.enter_context(faults.locked(faulty, "SELECT FROM carriers.lane FOR UPDATE"))
        it.load()
        it.noticed("orders are paid", holds=lambda: _count(faulty, PAID, it.orders.orders_known))
        with it.fault("away", "keyring", away_seconds=60), faults.away(faulty, "keyring"):
            held.close()
            it.load()
            it.noticed("the door answers 503", holds=lambda: it.door(order[0]) == 503)
            for worker in ("gateway", "carriers"):
                it.noticed(f"{worker} waits", holds=lambda name=worker: faulty.waits(f"{name}-1"))
            time.sleep(LEASE_OVER_SECONDS)
            since = evidence.marks(faulty.stack)
            time.sleep(60 - LEASE_OVER_SECONDS)
            assert _count(faulty, LABELS), "there was nothing that could have left"
            left = evidence.read(faulty.stack, partners, since)
            assert not [entry for entry in left if entry.type == OFFERED]
    for event in order:
        it.shop.say([event])
    it.judge()


@pytest.mark.full
@pytest.mark.parametrize("seconds", [pytest.param(DAY, id="ahead"), pytest.param(-DAY, id="behind")])
def test_a_workers_clock_is_a_day_off(trial: Begin, faulty: Faulty, seconds: float) -> None:
    """No effect depends on a worker's own clock, whichever worker it is: times that count are the database's."""
    it = trial(orders=120, people=4, phases=len(WORKERS))
    for worker in WORKERS:
        wrong = faults.wrong_clock(faulty, f"{worker}-1", seconds)
        with it.fault("wrong clock", f"{worker}-1", seconds=seconds), wrong:
            it.load()
            time.sleep(4)
    it.judge()
