"""What the platform holds when a trial has come to rest, read past all its rights and written down for the verifier.

Nothing is judged here. Sealed values are opened with the keyring's own database and KEK files, where a key still lives.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tests.faults.faulty import Faulty
from tests.faults.history import Line
from tests.faults.oracles import OFFERED
from tests.faults.rules import INSTANCES, PARTS
from tests.fixtures import certificates, evidence
from tests.fixtures.canaries import MARKS
from tests.fixtures.evidence import WORKERS, Entry, Position
from tests.fixtures.vault import Vault

OPENED = {"orders.orders": tuple(PARTS), "carriers.shipment": ("service", "code", "ship_to", "reference")}
"""Tables of which the verifier must know which columns of a row are left."""
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_BEYOND = re.compile(r"^core|^hs_err|\.hprof$")
Endings = Mapping[str, Mapping[str, Counter[str]]]


@dataclass(frozen=True)
class Marks:
    """How things stood before a trial: what comes after is the trial's."""

    ends: Mapping[Position, int]
    endings: Endings

    @classmethod
    def of(cls, faulty: Faulty) -> "Marks":
        """Take the marks now; everything must have come to rest."""
        stack = faulty.stack
        return cls(
            evidence.marks(stack),
            {name: _or(lambda name=name: evidence.endings(stack, name), {}) for name in WORKERS},
        )


T = TypeVar("T")


def _or(ask: Callable[[], T], nothing: T) -> T:
    """Return an answer; nothing of a worker that has never been started and has no tables."""
    try:
        return ask()
    except asyncpg.UndefinedTableError:
        return nothing


def collect(
    faulty: Faulty, marks: Marks, orders: Sequence[str], requests: Mapping[str, str]
) -> Iterator[Line]:
    """Yield what is held about these orders, and about the people with these erasure requests (by subject)."""
    stack, at = faulty.stack, time.time()
    names = [topic for topic in evidence.topics_of(stack) if not topic.startswith("test-")]
    records = evidence.read(stack, names, marks.ends)
    read = {name: [entry for entry in records if entry.topic == name] for name in names}
    vault = Vault(stack)
    yield {"kind": "collected", "at": at}
    yield from _rows(faulty, vault, orders)
    yield from _records(faulty, records)
    yield from _letters(faulty, marks)
    yield from _endings(faulty, marks, read)
    yield from _certificates(faulty, requests)
    yield from _about(faulty, list(requests))
    yield from _copies(records, list(requests), vault)
    yield from _finds(faulty, records)
    yield from waiting(faulty)


def _rows(faulty: Faulty, vault: Vault, orders: Sequence[str]) -> Iterator[Line]:
    which = "SELECT * FROM {{schema}}.{} WHERE order_id = ANY ($1::text[])"
    for row in evidence.of_worker(faulty.stack, "orders", which.format("orders"), list(orders)):
        opened = {name: row[name] and _opened(vault, row[name], row["order_id"], name) for name in PARTS}
        facts = {name: row[name] for name in ("subject", "stage", "revision", "carrier", "tracking")}
        yield {"kind": "order", "order": row["order_id"], **facts, **opened}
    for row in evidence.of_worker(faulty.stack, "carriers", which.format("shipment"), list(orders)):
        facts = {name: row[name] for name in ("subject", "partner", "stage", "reason", "request")}
        yield {"kind": "shipment", "order": row["order_id"], **facts}


def _opened(vault: Vault, token: str, order: str, part: str) -> Any:
    try:
        return vault.open(token, f"orders/{order}/{part}")
    except KeyError:
        return "(erased)"


def _records(faulty: Faulty, records: Iterable[Entry]) -> Iterator[Line]:
    carriers = {carrier.shipments: carrier for carrier in faulty.carriers}
    for entry in records:
        facts: Line = {
            "id": entry.id,
            "type": entry.type,
            "key": entry.key,
            "reason": entry.headers.get("ce_reason"),
        }
        if entry.topic in carriers:
            offered = entry.type == OFFERED
            facts["label"] = carriers[entry.topic].open(entry.value or b"") if offered else None
        else:
            facts["body"] = _json(entry.value)
        yield {
            "kind": "record",
            "topic": entry.topic,
            "partition": entry.partition,
            "offset": entry.offset,
            **facts,
        }


def _json(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"null")
    except (ValueError, RecursionError):
        return None


def _letters(faulty: Faulty, marks: Marks) -> Iterator[Line]:
    """Yield the dead letters of this trial's records, also of those that were redriven in vain."""
    for worker in WORKERS:
        for row in evidence.letters(faulty.stack, worker):
            if row["record_offset"] >= marks.ends.get((row["topic"], row["partition"]), 0):
                facts = {name: row[name] for name in ("topic", "partition", "code", "scope", "parked")}
                yield {"kind": "letter", "worker": worker, "offset": row["record_offset"], **facts}


def _endings(faulty: Faulty, marks: Marks, read: Mapping[str, Sequence[Entry]]) -> Iterator[Line]:
    for worker, topics in evidence.readers(faulty.stack).items():
        now, before = evidence.endings(faulty.stack, worker), marks.endings[worker]
        for topic in topics:
            yield {"kind": "there", "worker": worker, "topic": topic, "count": len(read.get(topic, ()))}
            for ending, count in (now.get(topic, Counter()) - before.get(topic, Counter())).items():
                yield {"kind": "ending", "worker": worker, "topic": topic, "ending": ending, "count": count}


def _certificates(faulty: Faulty, requests: Mapping[str, str]) -> Iterator[Line]:
    for subject, request in requests.items():
        said = certificates.contents(faulty.shop.certificate(request))
        yield {"kind": "certificate", "request": request, "subject": subject, **said}


_TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY ($1::text[]) ORDER BY 1, 2"
_NAMING = """
    SELECT person, count(*) AS count FROM {table} AS each, unnest($1::text[]) AS person
    WHERE each::text LIKE '%' || person || '%' GROUP BY person
"""


def _about(faulty: Faulty, subjects: list[str]) -> Iterator[Line]:
    """Yield every row that names one of these people, and every living key of theirs."""
    if not subjects:
        return
    stack = faulty.stack
    for dsn in (evidence.dsn_of(stack, "orders"), evidence.dsn_of(stack, "keyring")):
        for table, subject, count in asyncio.run(_naming(dsn, subjects)):
            if table not in OPENED:
                yield {"kind": "row", "table": table, "subject": subject, "count": count}
    for table, columns in OPENED.items():
        worker, _, name = table.partition(".")
        sql = f"SELECT * FROM {{schema}}.{name} WHERE subject = ANY ($1::text[])"
        for row in evidence.of_worker(stack, worker, sql, subjects):
            parts = {column: row[column] is not None for column in columns}
            facts = {"subject": row["subject"], "order": row["order_id"], "count": 1}
            yield {"kind": "row", "table": table, **facts, "parts": parts}
    sql = "SELECT * FROM {schema}.data_key WHERE subject = ANY ($1::text[]) AND wrapped IS NOT NULL"
    for row in evidence.of_worker(stack, "keyring", sql, subjects):
        yield {"kind": "key", **{name: row[name] for name in ("subject", "scope", "category")}}


async def _naming(dsn: str, subjects: list[str]) -> list[tuple[str, str, int]]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        tables = [f"{row[0]}.{row[1]}" for row in await connection.fetch(_TABLES, list(WORKERS))]
        return [
            (table, row["person"], row["count"])
            for table in tables
            for row in await connection.fetch(_NAMING.format(table=table), subjects)
        ]
    finally:
        await connection.close()


def _copies(records: Iterable[Entry], subjects: list[str], vault: Vault) -> Iterator[Line]:
    """Yield every sealed copy of these people on a topic, and whether the key that it names still opens it."""
    for entry in records:
        if entry.key in subjects:
            body = _json(entry.value)
            for part, category in PARTS.items():
                token = body.get(part) if isinstance(body, dict) else None
                if isinstance(token, str) and _TOKEN.fullmatch(token):
                    opens = _opened(vault, token, body["order"], part) != "(erased)"
                    yield {"kind": "copy", "subject": entry.key, "scope": body["order"], "category": category,
                           "where": f"{entry.topic}/{entry.partition}/{entry.offset}", "opens": opens}  # fmt: skip


def _finds(faulty: Faulty, records: Iterable[Entry]) -> Iterator[Line]:
    """Yield where a planted text stands in clear: the trial's records, logs, metrics, temporary files, core files.

    The quick look after every trial. `lethe scan`, which looks everywhere, is asked by tests of their own.
    """
    read = 0
    for entry in records:
        content = (entry.value or b"") + json.dumps(dict(entry.headers)).encode() + entry.key.encode()
        read += len(content)
        if _planted(content):
            where = f"{entry.topic}/{entry.partition}/{entry.offset}"
            yield {"kind": "find", "place": "record", "where": where}
    yield {"kind": "searched", "place": "records", "bytes": read}
    layout, read = faulty.stack.layout, 0
    for path in (*layout.logs.rglob("*"), *layout.tmp.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            read += len(content)
            if _planted(content):
                yield {"kind": "find", "place": "file", "where": path.name}
    yield {"kind": "searched", "place": "files", "bytes": read}
    for path in _dumps(layout.root):
        yield {"kind": "find", "place": "core file", "where": path.name}
    for instance in faulty.instances():
        page = faulty.metrics(instance).encode()
        if _planted(page):
            yield {"kind": "find", "place": "metrics", "where": instance}
        yield {"kind": "searched", "place": f"metrics of {instance}", "bytes": len(page)}


def _planted(content: bytes) -> bool:
    return any(mark.encode() in content for mark in MARKS)


def _dumps(state: Path) -> list[Path]:
    """Return memory images that a dying process left in the state directory."""
    return [path for path in (*state.glob("*"), *(state / "logs").glob("*")) if _BEYOND.search(path.name)]


def waiting(faulty: Faulty) -> Iterator[Line]:
    """Yield which process is not what it should be, and how much has not been read or published yet."""
    stack = faulty.stack
    states = {each.instance: each.state for each in stack.status()}
    for instance in INSTANCES:
        yield {"kind": "process", "instance": instance, "state": states.get(instance, "gone")}
    yield {"kind": "waiting", "what": "outgoing rows", "count": evidence.unpublished(stack)}
    ends = evidence.marks(stack)
    for worker, topics in evidence.readers(stack).items():
        sql = "SELECT topic, partition, next_offset FROM {schema}.progress"
        read = {(row[0], row[1]): row[2] for row in evidence.of_worker(stack, worker, sql)}
        behind = {f"{topic}/{number}": end - read.get((topic, number), 0) for (topic, number), end in ends.items()
                  if topic in topics and end > read.get((topic, number), 0)}  # fmt: skip
        where = " ".join(sorted(behind))
        yield {
            "kind": "waiting",
            "what": f"records before {worker} {where}".strip(),
            "count": sum(behind.values()),
        }
