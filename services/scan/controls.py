"""A text that a search must find in every kind of place before it may say that it found nothing.

The text is random, so nobody else can have written it. It is planted as it is and, for a search that opens sealed
values, sealed under living keys beside it. What is planted is removed again, however a search ends.
"""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.processes import INSTANCE_MARK, PLATFORM_MARK
from deploy.local.stack import Stack
from schemas.privacy import Category
from services.keyring.offline import control_place
from services.scan.findings import SEALED, Findings
from services.scan.needles import FORM_NAMES, forms
from services.scan.segments import CODECS
from services.scan.tables import Dsns, execute
from services.scan.tokens import FORMS, written

NAME = "scan-control"
WAIT_SECONDS = 20.0
_SCHEMA = "scan_control"
_FOLDERS = {"log": "logs", "file": "tmp", "kafka-file": "kafka"}
_COLUMNS = {"plain": "text", "bytes": "bytea", "long": "text"}


@dataclass(frozen=True, slots=True)
class Spot:
    """Somewhere the control was planted: a find of this kind whose place holds all of these parts."""

    kind: str
    parts: tuple[str, ...]
    form: str = ""

    def __str__(self) -> str:
        return " ".join((self.kind, *self.parts, self.form)).strip()


def new_control() -> str:
    """Return a text that nobody has written before; the quotation marks make its JSON form differ."""
    return f'lethe-"{NAME}"-{secrets.token_hex(16)}'


def spots(dsns: Dsns, names: Collection[str] = FORM_NAMES) -> list[Spot]:
    """Return everywhere the control must be found; in a file in each of the forms of these names."""
    found = [Spot("kafka-record", (f"{NAME}-0", f"({codec})")) for codec in CODECS]
    found += [Spot("kafka-record", ("__consumer_offsets",)), Spot("metrics", (NAME,))]
    found += [Spot(kind, (folder, NAME)) for kind, folder in _FOLDERS.items()]
    found += [Spot("file", ("tmp", NAME), form) for form in names]
    found += [Spot("process", (part,)) for part in ("command line", "environment")]
    for cluster in dsns:
        found += [Spot("table", (f"{cluster}/", f"{_SCHEMA}.{table}")) for table in _COLUMNS]
        found += [
            Spot(kind, ("postgres", f"/{cluster}/")) for kind in ("relation-file", "wal", "database-file")
        ]
    return found


def sealed_spots(dsns: Dsns) -> list[Spot]:
    """Return everywhere the control must be found inside a sealed value, under a key of every category."""
    return [
        Spot(SEALED, (f"{control_place(category)} in {spot.kind} ", *spot.parts, f"({spot.form or 'plain'})"))
        for category in Category
        for spot in spots(dsns, FORMS)
    ]


def missing(findings: Findings, control: int, wanted: list[Spot]) -> list[Spot]:
    """Return the spots where the control was planted and not found."""
    finds = findings.of(control)
    return [
        spot
        for spot in wanted
        if not any(
            find.kind == spot.kind
            and spot.form in ("", find.form)
            and all(part in find.where for part in spot.parts)
            for find in finds
        )
    ]


@contextmanager
def planted(stack: Stack, dsns: Dsns, control: str, sealed: Sequence[str] = ()) -> Iterator[str]:
    """Plant the control, and its sealed forms, in every kind of place for the length of the block.

    Yields the URL of its page.
    """
    content = b"\n".join(
        [*(pattern for _, pattern in forms(control)), *(each for token in sealed for each in written(token))]
    )
    line = " ".join((control, *sealed))
    with ExitStack() as planting:
        planting.enter_context(_in_files(stack, dsns, content))
        planting.enter_context(_in_tables(dsns, line))
        planting.enter_context(_in_topics(stack, line))
        planting.enter_context(_in_a_process(stack, line))
        yield planting.enter_context(_on_a_page(line))


@contextmanager
def _in_files(stack: Stack, dsns: Dsns, content: bytes) -> Iterator[None]:
    folders = [stack.state / folder for folder in _FOLDERS.values()]
    folders += [stack.state / "postgres" / cluster for cluster in dsns]
    paths = [folder / f"{NAME}.{'log' if folder.name == 'logs' else 'txt'}" for folder in folders]
    try:
        for path in paths:
            path.touch(mode=0o600)
            path.write_bytes(content)
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def _in_tables(dsns: Dsns, control: str) -> Iterator[None]:
    """One row per kind of column; the long value is one that PostgreSQL stores compressed and out of line."""
    drop = f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE"
    values = {
        "plain": f"'{control}'",
        "bytes": f"convert_to('{control}', 'UTF8')",
        "long": f"repeat('{control}', 1000)",
    }
    # The values are random text of our own; nothing of a user's is put into a statement.
    plant = [f"CREATE SCHEMA {_SCHEMA}"]
    plant += [f"CREATE TABLE {_SCHEMA}.{table} (value {kind})" for table, kind in _COLUMNS.items()]
    plant += [f"INSERT INTO {_SCHEMA}.{table} VALUES ({value})" for table, value in values.items()]  # noqa: S608
    try:
        execute(dsns, drop, *plant)
        yield
    finally:
        execute(dsns, drop)


@contextmanager
def _in_topics(stack: Stack, control: str) -> Iterator[None]:
    """One batch per way of compressing, and the internal topic of consumers' positions."""
    settings = stack.kafka_settings("admin")
    admin = AdminClient({**settings})
    _remove_topic(admin)
    try:
        _await_topic(admin)
        for codec in CODECS:
            _produce({**settings, "compression.type": codec}, control)
        consumer = Consumer({**settings, "group.id": NAME, "enable.auto.commit": False})
        consumer.commit(offsets=[TopicPartition(NAME, 0, 0, metadata=control)], asynchronous=False)
        consumer.close()
        yield
    finally:
        _remove_topic(admin)


def _await_topic(admin: AdminClient) -> None:
    """Create the topic; the one of the last search may still be on its way out."""
    for attempt in range(10):
        future = admin.create_topics([NewTopic(NAME, 1, 1)])[NAME]
        try:
            future.result(WAIT_SECONDS)
            return
        except KafkaException:
            if attempt == 9:
                raise
            threading.Event().wait(0.5)


def _produce(settings: dict[str, str], control: str) -> None:
    failed: list[object] = []
    producer = Producer({**settings, "linger.ms": "0"})
    # Repeated, because a batch that compressing does not make smaller is sent as it is.
    producer.produce(NAME, control * 20, on_delivery=lambda error, _: failed.append(error) if error else None)
    if producer.flush(WAIT_SECONDS) or failed:
        raise TimeoutError("the control could not be sent")


def _remove_topic(admin: AdminClient) -> None:
    for futures in (admin.delete_topics([NAME]), admin.delete_consumer_groups([NAME])):
        for future in futures.values():
            # Not there: nothing to remove.
            with suppress(KafkaException):
                future.result(WAIT_SECONDS)


@contextmanager
def _in_a_process(stack: Stack, control: str) -> Iterator[None]:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        PLATFORM_MARK: stack.identity.platform,
        INSTANCE_MARK: NAME,
        "CONTROL": control,
    }
    process = subprocess.Popen(  # noqa: S603 - this interpreter, waiting
        [sys.executable, "-c", "import sys; sys.stdin.read()", control],
        env=environment,
        stdin=subprocess.PIPE,
    )
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _on_a_page(control: str) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = f'control{{label="{control}"}} 1\n'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
