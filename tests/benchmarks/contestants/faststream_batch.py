"""FastStream with `batch=True`: a list of messages of one partition, acknowledged after they are handled."""

import asyncio

import asyncpg
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage
from faststream.security import SASLScram512

from tests.benchmarks.contestants.task import INSERT_MANY, Task, event_of, row_of

task = Task.given()
broker = KafkaBroker(
    task.kafka,
    security=SASLScram512(task.username, task.password, use_ssl=False),
    enable_idempotence=True,
    max_batch_size=1024 * 1024,
    logger=None,
)
app = FastStream(broker)
database: asyncpg.Connection


@app.on_startup
async def connect() -> None:
    global database
    database = await asyncpg.connect(task.dsn)


@broker.subscriber(
    task.source,
    group_id=task.group,
    auto_offset_reset="earliest",
    batch=True,
    max_records=2_000,
    max_partition_fetch_bytes=4 * 1024 * 1024,
    ack_policy=AckPolicy.ACK,
)
async def take(orders: list[dict[str, str]], message: KafkaMessage) -> None:
    records = message.raw_message
    rows = [row_of(record.key, order) for record, order in zip(records, orders, strict=True)]
    await database.execute(INSERT_MANY, *zip(*rows, strict=True))
    events = [
        KafkaPublishMessage(event_of(order), key=record.key)
        for record, order in zip(records, orders, strict=True)
    ]
    await broker.publish_batch(*events, topic=task.target, partition=records[0].partition)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(app.run())
