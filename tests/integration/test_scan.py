"""`lethe scan` on a real Kafka and a real PostgreSQL: what was written is found, and the search proves itself.

A search takes seconds, so each test asks many things of one.
"""

import asyncio
import json
import secrets
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from deploy.local import stack
from schemas.privacy import Category
from services.cli.app import build
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import place
from services.keyring import offline
from services.scan import controls, scan, scanning
from services.scan.findings import KINDS, SEALED
from services.scan.scanning import ScanUnproven
from tests.fixtures import evidence
from tests.fixtures.platform import Platform, temporary_state

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform():
    """A platform of its own: the shared one holds what hundreds of tests have written, and all of it is searched."""
    with temporary_state() as state:
        yield Platform(stack.start(state, only=("keyring",)))


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

    So does each that lies sealed, under a key of each category. It is called here as stories call it, with a loop
    running.
    """
    believed = scanning._believed
    seen = []
    monkeypatch.setattr(scanning, "_believed", lambda *told: seen.append(told) or told[0])
    scan(platform.stack, [canary], inside=True)
    ((findings, control, wanted),) = seen
    assert {spot.kind for spot in wanted} == {*KINDS, SEALED}
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


def mint(platform, category: Category) -> DataKey:
    """Let the keyring make a key, as it does for the gateway."""
    ref = {"subject": secrets.token_hex(16), "category": category, "scope": secrets.token_hex(16)}
    answer = httpx.post(
        f"{platform.stack.keyring_url}/v1/mint",
        json={"storefront": "shop", "keys": [ref], "subjects": []},
        headers={"Authorization": f"Bearer {platform.stack.keyring_token('gateway').get_secret_value()}"},
        trust_env=False,
    )
    return DataKey.of_text(answer.json()["keys"][0]["key"])


def counted(platform) -> Counter:
    """Return how many keys have been opened for searches, by whom and of which category."""
    sql = "SELECT principal, category, count FROM keyring.opening WHERE purpose = 'scan'"
    rows = evidence.rows(platform.stack.admin_dsn("keyring", "keyring"), sql)
    return Counter({(row["principal"], row["category"]): row["count"] for row in rows})


def test_a_text_that_only_lies_sealed_is_found_as_long_as_its_key_lives(platform, canary):
    """In a compressed batch and in a long value; what its own key does not open is tried with every other.

    Searched as it lies it is nowhere. What was opened is counted before, in the operator's name, and once the key is
    destroyed only the number of values says that there was something.
    """
    topic, dsn = platform.new_topic(partitions=1), platform.new_database()
    key, other = mint(platform, Category.LOGISTICS), mint(platform, Category.TRANSACTION)
    where = place("orders", secrets.token_hex(16), "ship_to")
    text = json.dumps({"note": canary}).encode()
    token = seal(key, where, text)
    other.kid = key.kid
    swapped = seal(other, where, text)
    for sealed in (token, swapped):
        produce(platform, topic, json.dumps({"ship_to": [sealed] * 9}).encode(), "zstd")
    execute(dsn, ("CREATE TABLE long (body text)",), ("INSERT INTO long VALUES ($1)", f"{token} " * 99))

    before = counted(platform)
    found = scan(platform.stack, [canary], inside=True)
    assert {(find.kind, find.form) for find in found.finds} == {(SEALED, "json")}
    finds = {find.where for find in found.finds}
    assert all(find.startswith(f"{where} in ") for find in finds)
    batches = {
        f"{where} in kafka-record kafka/data/{topic}-0/{0:020}.log offset {n} (zstd) (plain)" for n in (0, 1)
    }
    table = f"data{urlsplit(dsn).path} {urlsplit(dsn).username}.long"
    assert {*batches, f"{where} in table {table} (plain)"} <= finds
    assert (found.inside.values, found.inside.opened, found.inside.keys) == (2, 2, 2)
    name = offline.operator()
    assert counted(platform) - before == {(name, "logistics"): 1, (name, "transaction"): 1}

    kill = "UPDATE keyring.data_key SET wrapped = NULL, destroyed_at = now()"
    execute(platform.stack.admin_dsn("keyring", "keyring"), (kill,))
    left = scan(platform.stack, [canary], inside=True)
    assert left.finds == [] and (left.inside.values, left.inside.dead, left.inside.keys) == (2, 2, 0)


def test_a_search_without_the_keys_of_a_category_refuses_to_answer(platform, canary):
    """What lives and cannot be tried must not pass for dead; nothing of the control is left behind."""
    (kek,) = platform.stack.layout.keks.glob("logistics.*.kek")
    kek.rename(kek.with_suffix(".away"))
    try:
        with pytest.raises(ScanUnproven, match="kek-missing"):
            scan(platform.stack, [canary], inside=True)
    finally:
        kek.with_suffix(".away").rename(kek)
    left = "SELECT count(*) FROM keyring.data_key WHERE subject = 'scan-control'"
    assert evidence.rows(platform.stack.admin_dsn("keyring", "keyring"), left)[0][0] == 0


def test_the_verb_says_what_it_opened_and_what_nobody_opens(platform, canary):
    """Counts and places; neither a text nor a key."""
    key = mint(platform, Category.ACCOUNTING)
    stranger = seal(DataKey.fresh(), place("orders", "strange", "invoice"), b'"something else"')
    sealed = seal(key, place("orders", "own", "invoice"), json.dumps(canary).encode())
    arguments = ["scan", "--text-stdin", "--inside", "--state", str(platform.stack.state)]
    with files(platform, tmp=f"{sealed} {stranger}".encode()):
        shown = CliRunner().invoke(build(), arguments, input=canary + "\n")
    assert shown.exit_code == 1
    assert (
        "FOUND  text 1 in sealed: orders/own/invoice in file tmp/canary.log@0 (plain) (json)" in shown.stdout
    )
    assert "1 not opened: the key was never in this keyring" in shown.stdout
    assert canary not in shown.stdout and "something else" not in shown.stdout and key.kid not in shown.stdout
