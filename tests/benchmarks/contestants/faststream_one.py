"""FastStream as its tutorial shows it: a typed handler for one message, acknowledged after it is handled."""

import asyncio

import asyncpg
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse
from faststream.security import SASLScram512

from tests.benchmarks.contestants.task import INSERT, Task, event_of, row_of

task = Task.given()
broker = KafkaBroker(
    task.kafka,
    security=SASLScram512(task.username, task.password, use_ssl=False),
    enable_idempotence=True,
    logger=None,
)
app = FastStream(broker)
database: asyncpg.Connection


@app.on_startup
async def connect() -> None:
    global database
    database = await asyncpg.connect(task.dsn)


@broker.publisher(task.target)
@broker.subscriber(task.source, group_id=task.group, auto_offset_reset="earliest", ack_policy=AckPolicy.ACK)
async def take(order: dict[str, str], message: KafkaMessage) -> KafkaResponse:
    key = message.raw_message.key
    await database.execute(INSERT, *row_of(key, order))
    return KafkaResponse(event_of(order), key=key)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(app.run())
