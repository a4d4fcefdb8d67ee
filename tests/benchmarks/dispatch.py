"""Dispatch beside a bare loop: both give a carrier the same shipments, opened, reduced, and sealed for it alone."""

import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
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
PATIENCE_SECONDS = 60.0
GOALS = {"dispatch/bare": 0.7}


Shipment = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""Subject, value, headers."""


@dataclass(frozen=True)
class Lap:
    """One run of one contestant."""

    labels_per_second: float
    costs: dict[str, Cost]
    """Processor seconds for 1,000 labels, and memory."""


@dataclass(frozen=True)
class Arena:
    """A carrier with an agreement."""

    stack: Stack
    carrier: Carrier
    source: str
    """What the bare loop reads, in the place of the platform's own topic."""
    target: str


def measure(stack: Stack, rounds: int) -> Result:
    """Give both the same shipments, in turns."""
    local.start(stack.state, only=("keyring", "carriers"))
    platform = Platform(local.attach(stack.state))
    with tempfile.TemporaryDirectory() as folder:
        carrier = Carrier.sign(platform.stack, Path(folder))
        platform.stack.stop_worker("carriers")
        source, target = platform.new_topic("bare", LANES), platform.new_topic("bare-labels", partitions=1)
        arena = Arena(platform.stack, carrier, source, target)
        laps: dict[str, list[Lap]] = defaultdict(list)
        for _ in range(rounds):
            shipments = asyncio.run(_shipments(platform.stack, carrier.name, SHIPMENTS_PER_LAP))
            laps["dispatch"].append(_ours(arena, shipments))
            laps["bare"].append(_bare(arena, shipments))
    ratios = {
        "dispatch/bare": [
            ours.labels_per_second / theirs.labels_per_second
            for ours, theirs in zip(laps["dispatch"], laps["bare"], strict=True)
        ]
    }
    figures = {name: [_figures(lap) for lap in each] for name, each in laps.items()}
    return Result(ratios, GOALS, figures, _table(laps))


def _ours(arena: Arena, shipments: Sequence[Shipment]) -> Lap:
    instance = arena.stack.add("carriers")
    try:
        return _lap(arena, shipments, SHIPMENTS.name, arena.carrier.shipments, arena.stack.pid(instance))
    finally:
        arena.stack.stop_worker("carriers")


def _bare(arena: Arena, shipments: Sequence[Shipment]) -> Lap:
    stack, login = arena.stack, arena.stack.credentials("admin")
    task = Task(
        stack.kafka, login.username, login.password.get_secret_value(),
        stack.keyring_url, stack.keyring_token("carriers").get_secret_value(),
        arena.source, len(shipments), arena.target, _jwk(stack, arena.carrier.name), arena.carrier.fields,
    )  # fmt: skip
    command = [sys.executable, "-m", "tests.benchmarks.bare_dispatch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(task.line())
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            return _lap(arena, shipments, arena.source, arena.target, process.pid)
        finally:
            process.terminate()


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


def _lap(arena: Arena, shipments: Sequence[Shipment], source: str, target: str, pid: int) -> Lap:
    """Pour the shipments out before somebody who waits for them; the clock runs until the last label is written."""
    with Tail(arena.stack, [target]) as tail:
        costs = Costs(_pids(arena.stack, pid))
        began = time.time()
        _pour(arena.stack, source, shipments)
        seen = tail.await_records(target, len(shipments), PATIENCE_SECONDS)
        used = {
            name: Cost(1_000 * cost.processor_seconds / len(shipments), cost.resident_mib)
            for name, cost in costs.read().items()
        }
    assert len({each.key for each in seen}) == len(seen) == len(shipments), "a shipment was lost or doubled"
    return Lap(len(seen) / (max(each.written_at for each in seen) - began), used)


def _pour(stack: Stack, topic: str, shipments: Sequence[Shipment]) -> None:
    producer = Producer(
        {**stack.kafka_settings("admin"), "linger.ms": 20, "queue.buffering.max.messages": 200_000}
    )
    for subject, value, headers in shipments:
        producer.produce(topic, value, subject, partition_of(subject, LANES), headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0, "not every shipment reached Kafka"


async def _shipments(stack: Stack, carrier: str, count: int) -> list[Shipment]:
    """Return shipments of as many people, sealed under keys that the keyring has."""
    keyring = HttpKeyring(stack.keyring_url, stack.keyring_token("gateway"))
    refs = [KeyRef(random_id(), Category.LOGISTICS, random_id()) for _ in range(count)]
    minted = await keyring.mint("bench", refs)
    await keyring.close()
    addresses = [recipient_text(each) for each in purchases()]
    hour = to_the_hour(datetime.now(UTC))
    made = []
    for number, (ref, key) in enumerate(zip(refs, minted.keys, strict=True)):
        assert isinstance(key, DataKey)
        token = seal(key, Place(f"orders/{ref.scope}/ship_to"), addresses[number % len(addresses)])
        event = ShipmentRequested(
            order=ref.scope, carrier=carrier, service=Service.STANDARD, ship_to=Sealed(token)
        )
        envelope = Envelope(
            str(uuid.uuid4()), event.type, "/workers/orders", time=hour, subject=ref.subject, policy="1"
        )
        made.append((ref.subject.encode(), event.model_dump_json().encode(), list(envelope.headers())))
    return made


def _figures(lap: Lap) -> dict[str, float]:
    costs = {f"{name} CPU s per 1,000": round(cost.processor_seconds, 4) for name, cost in lap.costs.items()}
    return {"labels_per_second": round(lap.labels_per_second), **costs}


def _table(laps: dict[str, list[Lap]]) -> str:
    parts = ("itself", "keyring", "keyring's database", "database", "broker")
    head = ("contestant", "labels/s", "spread", "CPU s per 1,000", *parts[1:], "memory MiB")
    rows = table(head, [_row(name, each, parts) for name, each in laps.items()])
    ours, theirs = (
        median(lap.costs["itself"].processor_seconds for lap in laps[name]) for name in ("dispatch", "bare")
    )
    return f"{rows}\n\nBy their own processor time the ratio is {theirs / ours:.2f}."


def _row(name: str, laps: list[Lap], parts: tuple[str, ...]) -> tuple[str, ...]:
    rates = [lap.labels_per_second for lap in laps]
    return (
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        *(f"{median(lap.costs[part].processor_seconds for lap in laps):.3f}" for part in parts),
        f"{max(lap.costs['itself'].resident_mib for lap in laps):.0f}",
    )
