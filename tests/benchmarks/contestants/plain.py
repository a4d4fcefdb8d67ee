"""aiokafka as its README shows it: one record after the other, each produced and waited for."""

import asyncio

import aiokafka
import asyncpg
import orjson
import uvloop

from tests.benchmarks.contestants.task import INSERT, Task, emitted, row_of


async def main(task: Task) -> None:
    """Work until killed."""
    consumer = aiokafka.AIOKafkaConsumer(
        task.source, **task.login, group_id=task.group, auto_offset_reset="earliest"
    )
    producer = aiokafka.AIOKafkaProducer(**task.login, enable_idempotence=True)
    database = await asyncpg.connect(task.dsn)
    await consumer.start()
    await producer.start()
    async for record in consumer:
        order = orjson.loads(record.value)
        await database.execute(INSERT, *row_of(record.key, order))
        await producer.send_and_wait(task.target, emitted(order), key=record.key)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Task.given()))
