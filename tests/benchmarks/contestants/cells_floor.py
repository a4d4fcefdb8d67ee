"""The floor for clicks: fetch, decode, one upsert per table and fetch, and no guarantee whatever.

Offsets are committed every five seconds whatever became of the records; nothing is checked, no window ever closes.
"""

import asyncio
import time

import aiokafka
import asyncpg
import orjson
import uvloop

from tests.benchmarks.contestants.task import Task

TABLES = """
    CREATE TABLE cell (id text PRIMARY KEY, storefront text, kind text, "window" text, sealed text STORAGE EXTERNAL);
    CREATE TABLE contribution (cell text, tag text, share text, PRIMARY KEY (cell, tag));
"""
CELLS = """
    INSERT INTO cell SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    ON CONFLICT DO NOTHING
"""
CONTRIBUTIONS = """
    INSERT INTO contribution SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""


async def main(task: Task) -> None:
    """Work until killed; say after each fetch how many cells were read."""
    consumer = aiokafka.AIOKafkaConsumer(
        task.source, **task.login, group_id=task.group, auto_offset_reset="earliest", enable_auto_commit=True,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    database = await asyncpg.connect(task.dsn)
    await consumer.start()
    read = 0
    while True:
        fetched = await consumer.getmany(timeout_ms=200, max_records=2_000)
        for records in fetched.values():
            said = [orjson.loads(record.value) for record in records]
            cells = {
                cell["id"]: (cell["id"], each["storefront"], cell["kind"], cell["window"], cell["sealed"])
                for each in said
                for cell in each["cells"]
            }
            rows = [(cell["id"], cell["tag"], cell["share"]) for each in said for cell in each["cells"]]
            await database.execute(CELLS, *zip(*cells.values(), strict=True))
            await database.execute(CONTRIBUTIONS, *zip(*rows, strict=True))
            read += len(rows)
            print(f"read {time.time()} {read}", flush=True)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Task.given()))
