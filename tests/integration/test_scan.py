"""`lethe scan` on a real Kafka and a real PostgreSQL: what was written is found, and the search proves itself.

A search takes seconds, so each test asks many things of one.
"""

import asyncio
import json
import secrets
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from deploy.local import stack
from services.cli.app import build
from services.scan import controls, scan, scanning
from services.scan.findings import KINDS
from services.scan.scanning import ScanUnproven
from tests.fixtures.platform import Platform, temporary_state

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform():
    """A platform of its own: the shared one holds what hundreds of tests have written, and all of it is searched."""
    with temporary_state() as state:
        yield Platform(stack.start(state, only=()))


@pytest.fixture
def canary() -> str:
    """A text that nobody else has written."""
    return f'canary "{secrets.token_hex(8)}" süß'


def produce(platform, topic: str, value: bytes, codec: str) -> None:
    """Write a record as a partner's client would."""
    producer = Producer({**platform.stack.kafka_settings("admin"), "compression.type": codec})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def execute(dsn: str, *statements: tuple) -> None:
    """Run statements, each on its own."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=30)
        for statement, *arguments in statements:
            await connection.execute(statement, *arguments)
        await connection.close()

    asyncio.run(run())


@contextmanager
def files(platform, **contents: bytes):
    """Write files below the state directory for the length of the block."""
    paths = {platform.stack.state / name / "canary.log": content for name, content in contents.items()}
    for path, content in paths.items():
        path.write_bytes(content)
    try:
        yield
    finally:
        for path in paths:
            path.unlink()


async def test_nothing_is_said_to_be_absent_where_the_controls_were_not_found(platform, canary, monkeypatch):
    """Every kind of place is searched; each control that is not found again makes the search refuse to answer.

    It is called here as stories call it, with a loop running.
    """
    believed = scanning._believed
    seen = []
    monkeypatch.setattr(scanning, "_believed", lambda *told: seen.append(told) or told[0])
    scan(platform.stack, [canary])
    ((findings, control, wanted),) = seen
    assert not findings.of(0)
    for kind in KINDS:
        assert findings.tallies[kind].places and findings.tallies[kind].bytes, kind
    every = list(findings.finds)
    for spot in wanted:
        findings.finds = [
            find for find in every if controls.missing(replace(findings, finds=[find]), control, [spot])
        ]
        with pytest.raises(ScanUnproven, match="control was not found"):
            believed(findings, control, wanted)
    findings.finds, findings.undecoded = every, ["a place that cannot be read"]
    with pytest.raises(ScanUnproven, match="could not be searched"):
        believed(findings, control, wanted)
    findings.undecoded = []
    assert believed(findings, control, wanted).finds == []


def test_what_was_written_is_found_wherever_it_is(platform, canary):
    """Compressed batches of every codec, rows, long and deleted ones, logs and files; by place, never by content."""
    topic, dsn = platform.new_topic(partitions=1), platform.new_database()
    for codec in ("gzip", "zstd", "lz4", "snappy"):
        produce(platform, topic, json.dumps({"note": [canary] * 30}).encode(), codec)
    row = ("INSERT INTO note VALUES ($1, $2)", canary, canary.encode())
    execute(dsn, ("CREATE TABLE note (body text, raw bytea)",), row)
    execute(
        dsn, ("CREATE TABLE long (body text)",), ("INSERT INTO long VALUES ($1)", ("x" * 999 + canary) * 99)
    )
    with files(platform, logs=json.dumps({"event": canary}).encode(), tmp=canary.encode("utf-16-le")):
        finds = scan(platform.stack, [canary]).finds
    found = {(find.kind, find.where, find.form) for find in finds}
    offsets = {where.partition(" ")[2] for kind, where, form in found if topic in where and form == "json"}
    assert offsets == {"offset 0 (gzip)", "offset 1 (zstd)", "offset 2 (lz4)", "offset 3 (snappy)"}
    place = f"data{urlsplit(dsn).path} {urlsplit(dsn).username}"
    assert {("table", f"{place}.note", "plain"), ("table", f"{place}.long", "plain")} <= found
    assert {"relation-file", "wal"} <= {kind for kind, _, _ in found}
    assert ("log", "logs/canary.log@11", "json") in found
    assert ("file", "tmp/canary.log@0", "utf-16") in found
    execute(dsn, ("DELETE FROM note",), ("DROP TABLE long",))
    left = {find.kind for find in scan(platform.stack, [canary]).finds}
    # What SQL no longer shows is on the disk until it is vacuumed and its log recycled.
    assert {"relation-file", "wal"} <= left and not {"table", "log", "file"} & left


def test_the_verb_says_where_and_never_what(platform, canary, monkeypatch):
    """1 when it was found, 0 when not; no control of an earlier search is left where people look."""
    arguments = ["scan", "--text-stdin", "--state", str(platform.stack.state)]
    monkeypatch.setattr(controls, "new_control", lambda: 'the "control" of this test')
    with files(platform, tmp=f"before {canary} after".encode()):
        shown = CliRunner().invoke(build(), arguments, input=canary + "\n")
    assert shown.exit_code == 1
    assert "tmp/canary.log@7 (plain)" in shown.stdout
    assert 'canary "' not in shown.stdout and "before" not in shown.stdout
    monkeypatch.undo()
    told = CliRunner().invoke(build(), [*arguments, "--json"], input='the "control" of this test\n')
    left = {find["kind"] for find in json.loads(told.stdout)["finds"]}
    # What is deleted stays where the system has not yet written over it.
    assert left <= {"wal", "relation-file", "kafka-record"}
    assert not list(platform.stack.state.rglob("scan-control.*"))
    nothing = CliRunner().invoke(build(), arguments, input="something that nobody has written\n")
    assert nothing.exit_code == 0 and nothing.stdout.startswith("nothing found")
