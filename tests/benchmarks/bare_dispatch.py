"""What dispatch is compared with: a loop with the same decryption, the same partner's JWE and the same produce.

`python -m tests.benchmarks.bare_dispatch` with a line of JSON on standard input; it ends when standard input does. It
opens and seals with dispatch's own functions, so that the ratio says what is around them. It keeps no row, decides
nothing, looks at no agreement, suppresses nobody and sends again whatever it had sent when it was killed.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

import aiokafka
import orjson
import uvloop
from pydantic import SecretStr

from schemas.privacy import Category, Purpose
from schemas.topics import LANES
from services.dispatch.label_jwe import seal_for
from services.dispatch.partners import partner_key
from services.kernel.ids import random_id
from services.kernel.sealing.jwe import padded_length
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import KeyRef
from services.kernel.sealing.lease import Lease, Want
from services.kernel.sealing.place import Place

PAGE_RECORDS = 1_000


@dataclass(frozen=True)
class Task:
    """Where to read, how much, and where to write it."""

    kafka: str
    username: str
    password: str
    keyring_url: str
    keyring_token: str
    source: str
    records: int
    target: str
    jwk: str
    """The carrier's public key, with its `kid`."""
    fields: tuple[str, ...]

    def line(self) -> str:
        """Return it as standard input."""
        return json.dumps(asdict(self)) + "\n"


async def run(task: Task) -> None:
    """Work until as many labels are out as there are shipments, then wait for the end of standard input."""
    security = {
        "bootstrap_servers": task.kafka, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": task.username, "sasl_plain_password": task.password,
    }  # fmt: skip
    keyring = HttpKeyring(task.keyring_url, SecretStr(task.keyring_token))
    consumer = aiokafka.AIOKafkaConsumer(**security, enable_auto_commit=False)
    producer = aiokafka.AIOKafkaProducer(**security, enable_idempotence=True, max_batch_size=256 * 1024)
    await asyncio.gather(consumer.start(), producer.start())
    partitions = [aiokafka.TopicPartition(task.source, lane) for lane in range(LANES)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    print("ready", flush=True)
    left = task.records
    while left:
        fetched = await consumer.getmany(timeout_ms=200, max_records=PAGE_RECORDS)
        records = [record for page in fetched.values() for record in page]
        await _pass_on(task, records, keyring, producer)
        left -= len(records)
    # Of a process that is gone nobody can read how much memory it had.
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(consumer.stop(), producer.stop(), keyring.close())


async def _pass_on(
    task: Task,
    records: list[aiokafka.ConsumerRecord],
    keyring: HttpKeyring,
    producer: aiokafka.AIOKafkaProducer,
) -> None:
    shipments = [orjson.loads(record.value) for record in records]
    wants = [
        _want(record.key.decode(), shipment) for record, shipment in zip(records, shipments, strict=True)
    ]
    async with keyring.lease(Purpose.DELIVERY, wants) as lease:
        values = [_value(task, *each, lease) for each in zip(shipments, wants, strict=True)]
        waiting = [await producer.send(task.target, value, key=value[14:46], partition=0) for value in values]
        await asyncio.gather(*waiting)


def _want(subject: str, shipment: dict[str, str]) -> Want:
    order = shipment["order"]
    ref = KeyRef(subject, Category.LOGISTICS, order)
    return Want(shipment["ship_to"], Place(f"orders/{order}/ship_to"), ref)


def _value(task: Task, shipment: dict[str, str], want: Want, lease: Lease) -> bytes:
    opened = lease.unseal(want)
    assert isinstance(opened, bytes)
    recipient = orjson.loads(opened)
    text = orjson.dumps({name: recipient[name] for name in task.fields if name in recipient})
    key, kid = partner_key(task.jwk)
    label = seal_for(key, kid, text.ljust(padded_length(len(text))))
    return orjson.dumps({"reference": random_id(), "service": shipment["service"], "label": label})


if __name__ == "__main__":
    uvloop.run(run(Task(**json.loads(sys.stdin.readline()))))
