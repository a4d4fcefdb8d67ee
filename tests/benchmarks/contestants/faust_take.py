"""Faust with `take`: an agent that gathers events and handles them together."""

import asyncpg

from tests.benchmarks.contestants.faust_app import application, run
from tests.benchmarks.contestants.task import INSERT_MANY, Task, event_of, row_of

task = Task.given()
app, source, target = application(task)


@app.agent(source)
async def take(orders):
    database = await asyncpg.connect(task.dsn)
    async for events in orders.take_events(500, within=0.2):
        rows = [row_of(event.key, event.value) for event in events]
        await database.execute(INSERT_MANY, *zip(*rows, strict=True))
        for event in events:
            await target.send(key=event.key, value=event_of(event.value))


if __name__ == "__main__":
    run(app)
