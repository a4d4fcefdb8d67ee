"""Faust as its tutorial shows it: an agent that takes one event after the other."""

import asyncpg

from tests.benchmarks.contestants.faust_app import application, run
from tests.benchmarks.contestants.task import INSERT, Task, event_of, row_of

task = Task.given()
app, source, target = application(task)


@app.agent(source)
async def take(orders):
    database = await asyncpg.connect(task.dsn)
    async for key, order in orders.items():
        await database.execute(INSERT, *row_of(key, order))
        await target.send(key=key, value=event_of(order))


if __name__ == "__main__":
    run(app)
