"""A small trial in which everything went well, made by hand: what the oracles' own tests spoil."""

from typing import Any

from tests.faults import rules
from tests.faults.history import Line
from tests.faults.oracles import OFFERED, REVOKED

PERSON, FORGOTTEN, REQUEST = "a" * 32, "f" * 32, "e" * 32
DELIVERED, UNPAID, BACK, ORPHAN, HELD = ("1" * 32, "2" * 32, "3" * 32, "4" * 32, "5" * 32)
FATES = {
    DELIVERED: rules.DELIVERED, UNPAID: rules.NEVER_PAID, BACK: rules.TAKEN_BACK, ORPHAN: rules.ORPHAN,
    HELD: rules.DELIVERED,
}  # fmt: skip
DEAD_AT = 1_800_000_000.0


def sent(order: str) -> dict[str, Any]:
    """Return what the shop said of an order."""
    address = {"name": f"Customer {order[0]}", "address_lines": ["Street", order], "city": "Berlin"}
    return {"basket": {"total_minor": 100}, "ship_to": address, "invoice": {"total_minor": 100}}


def person_of(order: str) -> str:
    return FORGOTTEN if order == HELD else PERSON


def history() -> list[Line]:
    """Return what was sent and told."""
    lines: list[Line] = [{"kind": "carrier", "name": "swift", "fields": ["name", "address_lines"]}]
    for order, fate in FATES.items():
        facts = {"subject": person_of(order), "carrier": "swift", "fate": fate, "sent": sent(order)}
        lines.append({"kind": "order", "order": order, **facts})
        steps = {rules.NEVER_PAID: "pc", rules.ORPHAN: "y", rules.TAKEN_BACK: "pyc"}.get(fate, "py")
        lines += [{"kind": "said", "id": f"{order[0]}{step}", "status": 202} for step in steps]
    lines.append({"kind": "wish", "subject": FORGOTTEN, "request": REQUEST})
    lines += [
        {"kind": "fault", "phase": "begins", "at": DEAD_AT - 30},
        {"kind": "over", "at": DEAD_AT - 20},
        {"kind": "gone", "instance": "orders-1", "code": -9, "expected": True, "at": DEAD_AT - 20},
        {"kind": "fault", "phase": "ends", "at": DEAD_AT - 15},
    ]
    return [*lines, {"kind": "recovered", "seconds": 12.0, "within": 180.0, "at": DEAD_AT - 8}]


def held() -> list[Line]:
    """Return what the platform held at the end."""
    return [*_rows(), *_records(), *_forgotten(), *_endings(), *_asked()]


def _rows() -> list[Line]:
    orders = [each for each in _lines("order") if each["fate"] != rules.ORPHAN and each["order"] != HELD]
    rows: list[Line] = [
        {"kind": "order", "order": each["order"], **rules.expected_row(each)} for each in orders
    ]
    rows += [{"kind": "shipment", "order": order, "stage": "forgotten"} for order in (DELIVERED, BACK)]
    place = {"topic": "orders", "partition": 0, "offset": 7}
    return [*rows, {"kind": "letter", "worker": "orders", "code": "order-unknown", "scope": ORPHAN, **place}]


def _lines(kind: str) -> list[Line]:
    return [line for line in history() if line["kind"] == kind]


def _records() -> list[Line]:
    events = {"p": rules.PLACED, "y": rules.PAID, "c": rules.CANCELLED}
    orders = {order[0]: order for order in FATES}
    found = [
        _record("orders", line["id"], events[line["id"][1]], person_of(orders[line["id"][0]]),
                body={"order": orders[line["id"][0]]})
        for line in _lines("said")
    ]  # fmt: skip
    for order in _lines("order"):
        found += _events(order)
    for order, why in ((DELIVERED, "completed"), (BACK, "cancelled"), (HELD, "erased")):
        label = rules.expected_label({"sent": sent(order)}, ["name", "address_lines"])
        found += [
            _record("partner.swift.shipments", f"{order[0]}-label", OFFERED, order[::-1], label=label),
            _record("partner.swift.shipments", f"{order[0]}-revoked", REVOKED, order[::-1], reason=why),
        ]
    return found


def _events(order: Line) -> list[Line]:
    """Return what is told of an order inside the platform: asked and ended, held and released."""
    name, person = order["order"], order["subject"]
    found = [
        _record("shipments", f"{name[0]}-{step}", kind, person, body={"order": name})
        for kind, step in zip(rules.expected_shipments(order), ("asked", "ended"), strict=False)
    ]
    return found + [
        _record("holds", f"{name[0]}-{revision}", kind, person, body={"order": name, "revision": revision})
        for kind, revision in rules.expected_holds(order)
    ]


def _record(topic: str, name: str, kind: str, key: str, **more: Any) -> Line:
    return {"kind": "record", "topic": topic, "id": name, "type": kind, "key": key, **more}


def _forgotten() -> list[Line]:
    """Return what is left of the person who asked: an invoice that the law holds."""
    part = {"category": "accounting", "ground": "statutory", "scopes": [HELD]}
    times = {"unreadable_at": "2027-01-15T08:00:00+00:00"}
    probe = {"at": DEAD_AT + 60, "scope": HELD, "category": "logistics", "answer": "erased"}
    left = {"basket": False, "ship_to": False, "invoice": True}
    mine = {"subject": FORGOTTEN}
    return [
        {"kind": "certificate", "request": REQUEST, **mine, "retained": [part], "times": times},
        {"kind": "order", "order": HELD, **mine, "basket": None, "ship_to": None, "invoice": sent(HELD)["invoice"]},
        {"kind": "row", "table": "orders.orders", "order": HELD, **mine, "count": 1, "parts": left},
        {"kind": "row", "table": "orders.suppression", **mine, "count": 1},
        {"kind": "row", "table": "carriers.shipment", "order": HELD, **mine, "parts": {"reference": False}},
        {"kind": "key", "scope": HELD, "category": "accounting", **mine},
        *({"kind": "copy", "scope": HELD, "category": category, "where": f"orders/0/{offset}", "opens": opens, **mine}
          for offset, category, opens in ((1, "transaction", False), (1, "logistics", False), (2, "accounting", True))),
        {"kind": "probe", **probe, **mine},
    ]  # fmt: skip


def _endings() -> list[Line]:
    """Return how records ended: all sorts of endings in one place, nothing to read in the others."""
    counts = {"consumed": 7, "repeated": 1, "dead-lettered": 1, "suppressed": 1}
    where = {"worker": "orders", "topic": "orders"}
    ended = [{"kind": "ending", **where, "ending": name, "count": count} for name, count in counts.items()]
    return ended + [
        {"kind": "there", "worker": worker, "topic": topic, "count": 10 if worker == topic else 0}
        for worker, topic in sorted(rules.expected_readings(history()))
    ]


def _asked() -> list[Line]:
    """Return what was asked and searched."""
    queues = ["outgoing rows", *(f"records before {worker}" for worker in rules.READS)]
    return [
        *({"kind": "process", "instance": name, "state": "ready"} for name in rules.INSTANCES),
        *({"kind": "waiting", "what": what, "count": 0} for what in queues),
        *({"kind": "searched", "place": place, "bytes": 100} for place in rules.SEARCHED),
    ]
