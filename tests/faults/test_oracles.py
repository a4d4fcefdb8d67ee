"""An oracle that cannot fail proves nothing: each is shown what it must not let pass."""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import read_by
from tests.faults import rules, samples
from tests.faults.history import HISTORY, HOLDINGS, Line, of, write
from tests.faults.oracles import OFFERED, ORACLES, judge
from tests.faults.samples import BACK, DELIVERED, FORGOTTEN, HELD, UNPAID

Lines = list[Line]
Spoil = Callable[[Lines, Lines], object]
HERE = Path(__file__).parent


def first(lines: Lines, kind: str, **facts: Any) -> Line:
    return next(of(lines, kind, **facts))


def lost(kind: str, **facts: Any) -> Spoil:
    return lambda _, held: held.remove(first(held, kind, **facts))


def doubled(kind: str, **facts: Any) -> Spoil:
    return lambda _, held: held.append(dict(first(held, kind, **facts)))


def another(name: str, value: object, kind: str, **facts: Any) -> Spoil:
    return lambda _, held: first(held, kind, **facts).update({name: value})


def added(**line: Any) -> Spoil:
    return lambda _, held: held.append(line)


def swapped(*places: dict[str, Any]) -> Spoil:
    def swap(_: Lines, held: Lines) -> None:
        one, two = (held.index(first(held, "record", **facts)) for facts in places)
        held[one], held[two] = held[two], held[one]

    return swap


def without(kind: str, **facts: Any) -> Spoil:
    """Take away every line of a kind: as if nobody had looked."""

    def take(_: Lines, held: Lines) -> None:
        gone = list(of(held, kind, **facts))
        assert gone
        held[:] = [line for line in held if line not in gone]

    return take


def spoilt_by(*spoils: Spoil) -> Spoil:
    """Spoil in several ways at once."""
    return lambda history, held: [spoil(history, held) for spoil in spoils]


def told(change: Callable[[Lines], object]) -> Spoil:
    return lambda history, _: change(history)


PARTNER = "partner.swift.shipments"
SHIPMENT = {"table": "carriers.shipment", "subject": FORGOTTEN}
SPOILT: dict[str, tuple[str, Spoil]] = {
    "a row of the forgotten is back": ("O1", added(kind="row", table="orders.timer", subject=FORGOTTEN, count=1)),
    "a parked record of the forgotten is left": (
        "O1", added(kind="row", table="orders.dead_letter", subject=FORGOTTEN, count=1),
    ),
    "an order row of the forgotten has its address": (
        "O1", another("parts", {"basket": False, "ship_to": True, "invoice": True}, "row", table="orders.orders"),
    ),
    "an empty order row of the forgotten is left": (
        "O1", another("parts", {"basket": False, "ship_to": False, "invoice": False}, "row", table="orders.orders"),
    ),
    "a shipment of the forgotten has its reference": (
        "O1", another("parts", {"reference": True}, "row", **SHIPMENT),
    ),
    "a retained row is lost": ("O1", lost("row", table="orders.orders", order=HELD)),
    "a retained invoice is blanked": (
        "O1", another("parts", {"basket": False, "ship_to": False, "invoice": False}, "row", table="orders.orders"),
    ),
    "a retained invoice is another's": ("O1", another("invoice", {"total_minor": 7}, "order", order=HELD)),
    "a retained invoice opens no more": ("O1", another("invoice", "(erased)", "order", order=HELD)),
    "a retained key is destroyed": ("O1", lost("key", scope=HELD)),
    "what the law holds is not retained": ("O1", another("retained", [], "certificate")),
    "no certificate came": ("O1", lost("certificate")),
    "a key of the forgotten lives": ("O2", added(kind="key", subject=FORGOTTEN, scope=HELD, category="logistics")),
    "a copy of the forgotten opens": ("O2", another("opens", True, "copy", category="logistics")),
    "a key was handed out after unreadable_at": ("O2", another("answer", "key", "probe")),
    "nobody asked for a dead key": ("O2", without("probe")),
    "a dead key was asked for too early": ("O2", another("at", samples.DEAD_AT - 1, "probe")),
    "nobody looked at copies": ("O2", without("copy")),
    "nobody looked at the copy of an address": ("O2", lost("copy", category="logistics")),
    "nobody searched anything": ("O3", without("searched")),
    "a metrics page was empty": ("O3", another("bytes", 0, "searched", place="metrics of carriers-1")),
    "a planted text stands in a log": ("O3", added(kind="find", place="file", where="orders-1.log")),
    "an accepted event is not on the topic": ("O4", lost("record", topic="orders", id="2p")),
    "a row is lost": ("O4", lost("order", order=DELIVERED)),
    "a row stands elsewhere": ("O4", another("stage", "paid", "order", order=DELIVERED)),
    "a row counts a change twice": ("O4", another("revision", 5, "order", order=DELIVERED)),
    "a basket is another's": ("O4", another("basket", {"total_minor": 7}, "order", order=BACK)),
    "a shipment is lost": ("O4", lost("shipment", order=DELIVERED)),
    "a shipment of what was never paid": ("O4", added(kind="shipment", order=UNPAID, stage="forgotten")),
    "a label is lost": ("O4", lost("record", topic=PARTNER, id="1-label")),
    "a label is doubled": ("O4", doubled("record", topic=PARTNER, id="1-label")),
    "a label has too much on it": (
        "O4", another("label", {**samples.sent(DELIVERED)["ship_to"]}, "record", id="1-label"),
    ),
    "a label of somebody else": (
        "O4", added(kind="record", topic=PARTNER, id="x", type=OFFERED, key="x", label={"address_lines": ["?"]}),
    ),
    "a revocation is lost": ("O4", lost("record", topic=PARTNER, id="3-revoked")),
    "a revocation comes first": ("O4", swapped({"id": "1-label"}, {"id": "1-revoked"})),
    "a revocation has another reason": ("O4", another("reason", "cancelled", "record", id="1-revoked")),
    "a dead letter is lost": ("O4", lost("letter")),
    "a dead letter is doubled": ("O4", doubled("letter")),
    "a dead letter too many": (
        "O4",
        added(kind="letter", worker="orders", code="bug-KeyError", scope=BACK, topic="orders", partition=1, offset=1),
    ),
    "an outgoing event is doubled": ("O4", doubled("record", topic="shipments", id="1-asked")),
    "a shipment ends before it begins": ("O4", swapped({"id": "1-asked"}, {"id": "1-ended"})),
    "shipments leave in another order than payments": ("O4", swapped({"id": "1-asked"}, {"id": "3-asked"})),
    "a hold is reordered": ("O4", swapped({"id": "1-1"}, {"id": "1-2"})),
    "a hold is lost": ("O4", lost("record", topic="holds", id="2-2")),
    "a hold of the forgotten is lost": ("O4", lost("record", topic="holds", id="5-1")),
    "no hold was ever told": ("O4", without("record", topic="holds")),
    "a shipment of the forgotten never ended": ("O4", lost("record", topic="shipments", id="5-ended")),
    "no shipment was ever told": ("O4", without("record", topic="shipments")),
    "nobody counted endings": ("O5", spoilt_by(without("ending"), without("there"))),
    "a topic of a carrier was not counted": ("O5", lost("there", topic="partner.swift.updates")),
    "a topic was counted twice": ("O5", doubled("there", topic="holds")),
    "a record had no ending": ("O5", another("count", 6, "ending", ending="consumed")),
    "a record ended twice": ("O5", another("count", 2, "ending", ending="repeated")),
    "it never recovered": ("O6", told(lambda history: history.pop())),
    "nobody asked anybody": ("O6", spoilt_by(without("process"), without("waiting"))),
    "a process was not asked": ("O6", lost("process", instance="keyring-1")),
    "a queue was not looked at": ("O6", lost("waiting", what="records before carriers")),
    "it took too long": ("O6", told(lambda history: history[-1].update(seconds=181.0))),
    "its clock began after mending": (
        "O6", told(lambda history: first(history, "over").update(at=samples.DEAD_AT - 200)),
    ),
    "a worker has ended of a bug": (
        "O6", told(lambda history: first(history, "gone").update(code=1, expected=False)),
    ),
    "a process is not ready": ("O6", another("state", "starting", "process")),
    "a record still waits": ("O6", another("count", 1, "waiting")),
}  # fmt: skip


def test_nothing_is_wrong_with_the_unspoilt_trial() -> None:
    """Else every test below would be right for the wrong reason."""
    assert judge(samples.history(), samples.held()) == {}
    assert first(samples.held(), "record", type=rules.REQUESTED)


@pytest.mark.parametrize("name", SPOILT)
def test_each_oracle_can_fail(name: str) -> None:
    """Lost, doubled, reordered, resurrected, leaking, stuck: one thing is spoilt and its oracle says so."""
    oracle, spoil = SPOILT[name]
    history, held = samples.history(), samples.held()
    spoil(history, held)
    found = judge(history, held)
    assert oracle in found, found


def test_the_rules_know_what_each_worker_reads() -> None:
    """A topic that a worker reads from now on is one whose endings must add up."""
    found = {worker: {topic.name for topic in read_by(worker)} for worker in rules.READS}
    assert found == {worker: set(topics) for worker, topics in rules.READS.items()}


def test_every_oracle_is_tried() -> None:
    assert (
        {oracle for oracle, _ in SPOILT.values()} == set(ORACLES) == {f"O{number}" for number in range(1, 7)}
    )


def test_the_verifier_is_a_process_that_ends_with_its_judgement(tmp_path: Path) -> None:
    """0 and a sentence, 1 and what is wrong, 2 where no trial came to its end."""

    def verdict() -> tuple[int, str]:
        command = [sys.executable, "-m", "tests.faults.judge", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1])
        return done.returncode, done.stdout

    assert verdict()[0] == 2
    write(tmp_path / HISTORY, samples.history())
    write(tmp_path / HOLDINGS, samples.held())
    code, said = verdict()
    assert code == 0 and "O1 O2 O3 O4 O5 O6 hold" in said
    write(tmp_path / HOLDINGS, [line for line in samples.held() if line.get("id") != "1-label"])
    code, said = verdict()
    assert code == 1 and said.startswith("O4: ")


FAILPOINTS = "services.kernel.failpoints"
"""The list of steps at which a process may die: the one thing of the workers that this folder may know."""


def test_the_harness_shares_no_code_with_the_workers() -> None:
    """What judges them must not repeat their mistakes: no file here imports a worker, but for the list of steps."""
    imported = {
        (path.name, name)
        for path in HERE.rglob("*.py")
        if "mutants" not in path.parts
        for name in _imports(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] == "services"
    }
    assert {name for _, name in imported} <= {FAILPOINTS}, imported


def test_the_verifier_loads_nothing_of_the_platform() -> None:
    """Not even through a third module."""
    code = "import sys, tests.faults.judge; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stderr
    assert not {"services", "deploy", "aiokafka", "asyncpg"} & set(done.stdout.split())


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "services"
                else {node.module}
            )
    return found
