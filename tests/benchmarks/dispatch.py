"""Dispatch beside a bare loop: both give a carrier the same shipments, opened, reduced, and sealed for it alone."""

import asyncio
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from confluent_kafka import Producer

from deploy.local import stack as local
from deploy.local.stack import Stack
from schemas.envelope import Envelope, to_the_hour
from schemas.privacy import Category, Sealed
from schemas.shipments import Service, ShipmentRequested
from schemas.topics import LANES, SHIPMENTS
from services.kernel.broker.partition import partition_of
from services.kernel.ids import random_id
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import DataKey, KeyRef
from services.kernel.sealing.place import Place
from tests.benchmarks.bare_dispatch import Task
from tests.benchmarks.costs import Cost, Costs
from tests.benchmarks.result import Result, table
from tests.benchmarks.shopping import purchases, recipient_text
from tests.benchmarks.tail import Tail
from tests.fixtures import evidence
from tests.fixtures.carrier import Carrier
from tests.fixtures.platform import Platform

SHIPMENTS_PER_LAP = 8_000
WARM_UP = 0.1
"""The share of the labels before the clock starts: joining the group, the first fetch, connections."""
PATIENCE_SECONDS = 60.0
GOALS = {"dispatch/bare": 0.7}


@dataclass(frozen=True)
class Lap:
    """One run of one contestant."""

    labels_per_second: float
    costs: dict[str, Cost]
    """Processor seconds for 1,000 labels, and memory."""


@dataclass
class Arena:
    """A carrier with an agreement, and shipments that wait for it."""

    stack: Stack
    carrier: Carrier
    shipments: int
    offsets: dict[str, int]
    """Where the waiting ones begin, by lane."""

    def refill(self) -> None:
        """Put another lot of shipments on the topic."""
        ends = evidence.marks(self.stack)
        self.offsets = {str(lane): ends.get((SHIPMENTS.name, lane), 0) for lane in range(LANES)}
        asyncio.run(_request(self.stack, self.carrier.name, self.shipments))


def measure(stack: Stack, rounds: int) -> Result:
    """Let both drain the same shipments, in turns."""
    local.start(stack.state, only=("keyring", "carriers"))
    platform = Platform(local.attach(stack.state))
    with tempfile.TemporaryDirectory() as folder:
        carrier = Carrier.sign(platform.stack, Path(folder))
        platform.stack.stop_worker("carriers")
        arena = Arena(platform.stack, carrier, int(SHIPMENTS_PER_LAP), {})
        target = platform.new_topic("bare-labels", partitions=1)
        laps: dict[str, list[Lap]] = defaultdict(list)
        for _ in range(rounds):
            arena.refill()
            laps["dispatch"].append(_ours(arena))
            laps["bare"].append(_bare(arena, target))
    ratios = {
        "dispatch/bare": [
            ours.labels_per_second / theirs.labels_per_second
            for ours, theirs in zip(laps["dispatch"], laps["bare"], strict=True)
        ]
    }
    figures = {name: [_figures(lap) for lap in each] for name, each in laps.items()}
    return Result(ratios, GOALS, figures, _table(laps))


def _ours(arena: Arena) -> Lap:
    with Tail(arena.stack, [arena.carrier.shipments]) as tail:
        instance = arena.stack.add("carriers", wait=False)
        try:
            return _lap(arena, tail, arena.carrier.shipments, arena.stack.pid(instance))
        finally:
            arena.stack.stop_worker("carriers")


def _bare(arena: Arena, target: str) -> Lap:
    stack, login = arena.stack, arena.stack.credentials("admin")
    task = Task(
        stack.kafka, login.username, login.password.get_secret_value(),
        stack.keyring_url, stack.keyring_token("carriers").get_secret_value(),
        SHIPMENTS.name, arena.offsets, arena.shipments, target, _jwk(stack, arena.carrier.name), arena.carrier.fields,
    )  # fmt: skip
    with Tail(stack, [target]) as tail:
        command = [sys.executable, "-m", "tests.benchmarks.bare_dispatch"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert process.stdin is not None
        process.stdin.write(task.text())
        process.stdin.close()
        try:
            return _lap(arena, tail, target, process.pid)
        finally:
            process.terminate()
            process.wait()


def _jwk(stack: Stack, partner: str) -> str:
    found = evidence.rows(
        stack.admin_dsn(), "SELECT public_key FROM carriers.partner WHERE partner_id = $1", partner
    )
    return str(found[0]["public_key"])


def _pids(stack: Stack, itself: int) -> dict[str, int]:
    return {
        "itself": itself, "keyring": stack.pid("keyring-1"), "keyring's database": stack.pid("postgres-keyring"),
        "database": stack.pid("postgres-data"), "broker": stack.pid("kafka"),
    }  # fmt: skip


def _lap(arena: Arena, tail: Tail, target: str, pid: int) -> Lap:
    before = len(tail.await_records(target, int(arena.shipments * WARM_UP), PATIENCE_SECONDS))
    costs = Costs(_pids(arena.stack, pid))
    seen = tail.await_records(target, arena.shipments, PATIENCE_SECONDS)
    used = {
        name: Cost(1_000 * cost.processor_seconds / (len(seen) - before), cost.resident_mib)
        for name, cost in costs.read().items()
    }
    assert len({each.key for each in seen}) == len(seen) == arena.shipments, "a shipment was lost or doubled"
    written = sorted(each.written_at for each in seen)
    # Many labels share a time stamp, that of their batch: only those of later batches count.
    counted = [at for at in written if at > written[before]]
    return Lap(len(counted) / (written[-1] - written[before]), used)


async def _request(stack: Stack, carrier: str, count: int) -> None:
    """Put shipments of as many people on the topic, sealed under keys that the keyring has."""
    keyring = HttpKeyring(stack.keyring_url, stack.keyring_token("gateway"))
    refs = [KeyRef(random_id(), Category.LOGISTICS, random_id()) for _ in range(count)]
    minted = await keyring.mint("bench", refs)
    await keyring.close()
    producer = Producer(
        {**stack.kafka_settings("admin"), "linger.ms": 20, "queue.buffering.max.messages": 200_000}
    )
    addresses = [recipient_text(each) for each in purchases()]
    hour = to_the_hour(datetime.now(UTC))
    for number, (ref, key) in enumerate(zip(refs, minted.keys, strict=True)):
        assert isinstance(key, DataKey)
        token = seal(key, Place(f"orders/{ref.scope}/ship_to"), addresses[number % len(addresses)])
        event = ShipmentRequested(
            order=ref.scope, carrier=carrier, service=Service.STANDARD, ship_to=Sealed(token)
        )
        envelope = Envelope(
            str(uuid.uuid4()), event.type, "/workers/orders", time=hour, subject=ref.subject, policy="1"
        )
        subject = ref.subject.encode()
        producer.produce(
            SHIPMENTS.name, event.model_dump_json().encode(), subject, partition_of(subject, LANES),
            headers=list(envelope.headers()),
        )  # fmt: skip
        producer.poll(0)
    assert producer.flush(60) == 0
    await asyncio.sleep(0)


def _figures(lap: Lap) -> dict[str, float]:
    costs = {f"{name} CPU s per 1,000": round(cost.processor_seconds, 4) for name, cost in lap.costs.items()}
    return {"labels_per_second": round(lap.labels_per_second), **costs}


def _table(laps: dict[str, list[Lap]]) -> str:
    parts = ("itself", "keyring", "keyring's database", "database", "broker")
    head = ("contestant", "labels/s", "spread", "CPU s per 1,000", *parts[1:], "memory MiB")
    return table(head, [_row(name, each, parts) for name, each in laps.items()])


def _row(name: str, laps: list[Lap], parts: tuple[str, ...]) -> tuple[str, ...]:
    rates = [lap.labels_per_second for lap in laps]
    return (
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        *(f"{median(lap.costs[part].processor_seconds for lap in laps):.3f}" for part in parts),
        f"{max(lap.costs['itself'].resident_mib for lap in laps):.0f}",
    )
