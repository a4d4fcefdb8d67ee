"""How long recommendations takes to know a large shop again, from the first statistic that Kafka still has.

Nothing of it was known before: no row in the changelog, no committed offset. The clock runs from the start of the
process to its last list, so joining the group and Faust's own start are in it.
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random

from confluent_kafka import Producer

from deploy.local.stack import Stack
from schemas.clicks import SEPARATOR, Kind
from schemas.envelope import Envelope
from schemas.statistics import Counted, Recommended
from schemas.topics import RECOMMENDATIONS, STATISTICS
from services.recommendations.domain import Items, ListName, lists
from services.recommendations.numbers import Numbers
from services.recommendations.rows import lane_of_shop
from tests.benchmarks.costs import Costs
from tests.benchmarks.result import Result, table
from tests.benchmarks.tail import Tail

PRODUCTS = 10_000
DAYS = 30
PAIRS_PER_DAY = 2_000
TERMS = 500
LIMIT_SECONDS = 60.0
PATIENCE_SECONDS = 240.0
RATIO = "a minute/recommendations rebuild"


def measure(stack: Stack, rounds: int) -> Result:
    """Rebuild once: the work is as long as a round of others, and the same each time."""
    del rounds
    count, expected = _pour(stack)
    with Tail(stack, [RECOMMENDATIONS.name]) as tail:
        began = time.time()
        instance = stack.add("recommendations")
        costs = Costs({"itself": stack.pid(instance), "broker": stack.pid("kafka")})
        ended, told = _until_all_told(tail, expected)
        used = costs.read()
    stack.stop_worker("recommendations")
    seconds = ended - began
    figures = {
        "rebuild-seconds": round(seconds, 1), "statistics": count, "lists": told,
        "statistics_per_second": round(count / seconds),
        "CPU s per 1,000": round(1_000 * used["itself"].processor_seconds / count, 4),
        "memory MiB": round(used["itself"].resident_mib),
    }  # fmt: skip
    head = ("rebuilt", "statistics", "lists told", "seconds", "statistics/s", "CPU s per 1,000", "memory MiB")
    row = (
        f"{PRODUCTS:,} products, {DAYS} days", f"{count:,}", f"{told:,}", f"{seconds:.1f}",
        f"{count / seconds:,.0f}", f"{figures['CPU s per 1,000']:.3f}", figures["memory MiB"],
    )  # fmt: skip
    return Result({RATIO: [LIMIT_SECONDS / seconds]}, {RATIO: 1.0}, figures, table(head, [row]))


def _until_all_told(tail: Tail, expected: Mapping[ListName, Items]) -> tuple[float, int]:
    """Return when the last list was told that the numbers make, and how many were told by then."""
    until = time.monotonic() + PATIENCE_SECONDS
    told: dict[ListName, Items] = {}
    read = 0
    while time.monotonic() < until:
        seen = tail.of(RECOMMENDATIONS.name)
        for each in seen[read:]:
            event = Recommended.model_validate_json(each.value or b"")
            told[event.listing, event.of] = event.items
        read = len(seen)
        if told == expected:
            return max(each.written_at for each in seen), read
        time.sleep(0.5)
    raise AssertionError("the rebuild did not end")


def _pour(stack: Stack) -> tuple[int, dict[ListName, Items]]:
    """Say what a large shop's crowds did in a month; return how many numbers that were, and the lists they make."""
    producer = Producer(
        {**stack.kafka_settings("clickstream"), "linger.ms": 50, "queue.buffering.max.messages": 500_000}
    )
    shop, count, numbers = "large", 0, Numbers()
    headers = list(Envelope(str(uuid.uuid4()), Counted.type, "/workers/clickstream").headers())
    for kind, window, cell, seen in _numbers():
        event = Counted(storefront=shop, kind=kind, window=window, cell=cell, count=seen)
        producer.produce(
            STATISTICS.name,
            event.model_dump_json().encode(),
            shop.encode(),
            lane_of_shop(shop),
            headers=headers,
        )
        producer.poll(0)
        numbers.set((kind, window, cell), seen)
        count += 1
    assert producer.flush(60) == 0
    return count, dict(lists(numbers))


def _numbers() -> Iterator[tuple[Kind, str, str, int]]:
    chance, today = Random(7), datetime.now(UTC).date()
    for back in reversed(range(DAYS)):
        window = (today - timedelta(days=back)).isoformat()
        for number in range(PRODUCTS):
            yield Kind.PRODUCT, window, f"product {number}", 10 * chance.randint(1, 50)
        for _ in range(PAIRS_PER_DAY):
            one, other = chance.sample(range(PRODUCTS), 2)
            yield Kind.PAIR, window, f"product {one}{SEPARATOR}product {other}", 10
        for number in range(TERMS):
            yield Kind.SEARCH, window, f"term {number}", 10 * chance.randint(1, 9)
