"""Faust for clicks: a table of contributions, in memory with its changelog, as its guide shows it."""

import os
import time

from tests.benchmarks.contestants.faust_app import application, run
from tests.benchmarks.contestants.task import Task

task = Task.given()
app, source, _ = application(task)
changelog = app.topic(task.target, key_serializer="json", value_serializer="json")
contributions = app.Table("contribution", partitions=12, changelog_topic=changelog)
EVERY = 1_000


@app.agent(source)
async def take(records):
    """Keep each contribution once; say now and then how many cells were read."""
    read = told = 0
    async for said in records:
        for cell in said["cells"]:
            name = cell["id"] + cell["tag"]
            if name not in contributions:
                contributions[name] = cell["share"]
        read += len(said["cells"])
        if read - told >= EVERY:
            told = read
            # Faust takes `print` for its log.
            os.write(1, f"read {time.time()} {read}\n".encode())


if __name__ == "__main__":
    run(app)
