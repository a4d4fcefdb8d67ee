"""The floor: as little as Python can do for this work in batches, and no guarantee whatever.

Offsets are committed every five seconds whatever became of the records; nothing is checked; a failure ends it.
"""

import asyncio

import aiokafka
import asyncpg
import orjson
import uvloop

from tests.benchmarks.contestants.task import INSERT_MANY, Task, emitted, row_of


async def main(task: Task) -> None:
    """Work until killed."""
    consumer = aiokafka.AIOKafkaConsumer(
        task.source, **task.login, group_id=task.group, auto_offset_reset="earliest", enable_auto_commit=True
    )
    producer = aiokafka.AIOKafkaProducer(**task.login, enable_idempotence=True, max_batch_size=256 * 1024)
    database = await asyncpg.connect(task.dsn)
    await consumer.start()
    await producer.start()
    while True:
        for partition, records in (await consumer.getmany(timeout_ms=200, max_records=2_000)).items():
            orders = [orjson.loads(record.value) for record in records]
            rows = [row_of(record.key, order) for record, order in zip(records, orders, strict=True)]
            await database.execute(INSERT_MANY, *zip(*rows, strict=True))
            batch = producer.create_batch()
            for record, order in zip(records, orders, strict=True):
                if batch.append(key=record.key, value=emitted(order), timestamp=None) is None:
                    await producer.send_batch(batch, task.target, partition=partition.partition)
                    batch = producer.create_batch()
                    batch.append(key=record.key, value=emitted(order), timestamp=None)
            await producer.send_batch(batch, task.target, partition=partition.partition)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Task.given()))
