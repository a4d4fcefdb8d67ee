"""One run of one contestant: how fast it was, what it used, and whether it did the work."""

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.arena import Arena, Emission
from tests.benchmarks.entrants import Entrant
from tests.benchmarks.meter import Meter

WARM_UP = 0.1
"""The share of the orders before the clock starts: joining the group, the first fetch, connections."""
PATIENCE_SECONDS = 30.0
"""Who emits nothing for so long does not do its work."""
LOOK_SECONDS = 0.2
MIB = 2**20


@dataclass(frozen=True)
class Lap:
    """What one run came to; per 1,000 events where it says so."""

    contestant: str
    orders: int
    events_per_second: float
    seconds: float
    processor_seconds: float
    """Of the contestant's own processes, per 1,000 events."""
    broker_seconds: float
    database_seconds: float
    resident_mib: float


def run(arena: Arena, contestant: Entrant, orders: int, instances: int = 1) -> Lap:
    """Let a contestant do its work on at least so many orders; `AssertionError` where it loses or doubles any."""
    waiting = contestant.prepare(orders)
    meter = Meter(
        {"self": contestant.pids, "broker": _pid(arena, "kafka"), "database": _pid(arena, "postgres-data")}
    )
    contestant.start(instances)
    try:
        with meter:
            await_emitted(arena, contestant, waiting)
        emission = arena.emission(contestant.target, contestant.since)
        judge(contestant, emission, waiting)
    finally:
        contestant.stop()
    return _lap(contestant, emission, waiting, meter)


def await_emitted(arena: Arena, contestant: Entrant, events: int) -> None:
    """Return when as many events are out as there should be, markers of transactions not counted."""
    began = sum(contestant.since.values())
    seen, moved_at = 0, time.monotonic()
    while True:
        contestant.pids()  # Raises when one has ended.
        grown = sum(arena.ends(contestant.target).values()) - began
        if grown > seen:
            seen, moved_at = grown, time.monotonic()
        quiet_seconds = time.monotonic() - moved_at
        # Transactions leave markers in the topic, so only silence shows that enough was enough.
        if seen >= events and quiet_seconds > 1.0:
            return
        assert quiet_seconds < PATIENCE_SECONDS, (
            f"{contestant.name} emitted {seen} of {events} events and no more"
        )
        time.sleep(LOOK_SECONDS)


def judge(contestant: Entrant, emission: Emission, orders: int) -> None:
    """Refuse a run in which an order is not kept once and spoken of once."""
    name, rows = contestant.name, contestant.rows()
    assert rows == orders, f"{name} kept {rows} of {orders} orders"
    assert len(emission.orders) == orders, f"{name} spoke of {len(emission.orders)} of {orders} orders"
    doubled = len(emission.at) - len(emission.orders)
    assert doubled == 0, f"{name} emitted {doubled} events twice"


def _lap(contestant: Entrant, emission: Emission, orders: int, meter: Meter) -> Lap:
    since, until = emission.at[int(orders * WARM_UP)], emission.at[-1]
    # A few orders are over within one tick of the broker's clock; such a run says nothing about speed.
    events, seconds = max(1, orders - bisect_right(emission.at, since)), max(0.001, until - since)
    per_thousand = 1_000 / events
    return Lap(
        contestant.name,
        orders,
        events / seconds,
        seconds,
        meter.used("self", since, until) * per_thousand,
        meter.used("broker", since, until) * per_thousand,
        meter.used("database", since, until) * per_thousand,
        meter.resident_bytes("self") / MIB,
    )


def _pid(arena: Arena, instance: str) -> Callable[[], list[int]]:
    pid = arena.stack.pid(instance)
    return lambda: [pid]
