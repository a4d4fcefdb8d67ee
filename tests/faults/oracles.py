"""The six oracles: what must be true of every history, whatever was done to the platform.

    O1  no resurrection: after a certificate nothing of the person is left but what it lists, and that is left
    O2  unreadable: after `unreadable_at` no key of the person is handed out, and no copy opens
    O3  no canary byte outside the allowed places
    O4  effects equal those of the undisturbed run: rows, partners' records, dead letters; none lost, doubled, reordered
    O5  the endings add up: every record read ended in exactly one way
    O6  it recovers by itself within the stated time, and nothing is left waiting

Each takes the recorded history and what the platform held at the end, and returns what is wrong, a sentence each.
What nobody looked at is wrong, too (looked_at.py): an oracle must not pass because nothing was written down.
They know the inputs, the rules (rules.py) and the published schemas; they share no code with any worker.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.faults import looked_at, rules
from tests.faults.history import Line, of

OFFERED, REVOKED = "lethe.parcel.offered.v1", "lethe.copy.revoked.v1"
ENDED = (rules.CLOSED, rules.WITHDRAWN)
LEDGERS = {
    "keyring.subject", "keyring.pair", "keyring.data_key", "erasure.erasure",
    "orders.suppression", "carriers.suppression", "orders.remembered", "carriers.remembered",
    "erasure.remembered", "carriers.timer", "erasure.timer", "keyring.timer",
}  # fmt: skip
"""Tables that remember by a random id that somebody was forgotten; none of them holds a value of the person."""
Oracle = Callable[[Sequence[Line], Sequence[Line]], list[str]]


def o1_no_resurrection(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """No row of a forgotten person but those that the certificate retains, reduced to what it retains; those are there.

    It retains what the law holds, as it was sent, under a key that lives.
    """
    wrong = []
    for order in of(history, "order"):
        certificate = next(of(held, "certificate", subject=order["subject"]), None)
        if certificate is not None:
            wrong += _not_kept(order, _retained(certificate), held)
    certificates = {each["request"]: each for each in of(held, "certificate")}
    for wish in of(history, "wish"):
        certificate = certificates.get(wish["request"])
        if certificate is None:
            wrong.append(f"request {wish['request']} has no certificate")
            continue
        retained = _retained(certificate)
        for row in of(held, "row", subject=wish["subject"]):
            wrong += _about_forgotten(row, retained)
    return wrong


def _not_kept(order: Line, retained: set[tuple[str, str]], held: Sequence[Line]) -> list[str]:
    name, subject = order["order"], order["subject"]
    row = next(of(held, "order", order=name), {})
    wrong = [
        f"the certificate does not retain the {part} of {name}, which the law holds"
        for part in rules.kept_by_law(order)
        if (name, rules.PARTS[part]) not in retained
    ]
    for part, category in rules.PARTS.items():
        if (name, category) in retained:
            if not rules.says_the_same(row.get(part), order["sent"][part]):
                wrong.append(f"the {part} of {name}, which is retained, is not there as it was sent")
            if not any(of(held, "row", table="orders.orders", order=name)):
                wrong.append(f"the row of {name}, of which {part} is retained, is lost")
            if not any(of(held, "key", subject=subject, scope=name, category=category)):
                wrong.append(f"the {category} key of {name}, which is retained, is lost")
    return wrong


def _about_forgotten(row: Line, retained: set[tuple[str, str]]) -> list[str]:
    if row["table"] in LEDGERS:
        return []
    if row["table"] == "carriers.shipment":
        left = sorted(name for name, there in row["parts"].items() if there)
        return [f"the shipment of forgotten {row['subject']} still has its {', '.join(left)}"] if left else []
    if row["table"] != "orders.orders":
        return [f"{row['count']} rows about forgotten {row['subject']} in {row['table']}"]
    kept = [(part, kind) for part, kind in rules.PARTS.items() if row["parts"][part]]
    wrong = [
        f"order {row['order']} of a forgotten person still has its {part}, which its certificate does not retain"
        for part, kind in kept
        if (row["order"], kind) not in retained
    ]
    if not kept:
        wrong.append(f"order {row['order']} of a forgotten person has a row that no ground holds")
    return wrong


def o2_unreadable(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """No key that a certificate does not retain lives, was handed out after `unreadable_at`, or opens a copy."""
    wrong = looked_at.not_tried(history, held)
    for certificate in of(held, "certificate"):
        retained, subject = _retained(certificate), certificate["subject"]
        moment = datetime.fromisoformat(certificate["times"]["unreadable_at"]).timestamp()
        wrong += [
            f"a {key['category']} key of {key['scope']} lives on after its person was forgotten"
            for key in of(held, "key", subject=subject)
            if (key["scope"], key["category"]) not in retained
        ]
        wrong += [
            f"a copy of {copy['scope']}/{copy['category']} in {copy['where']} still opens"
            for copy in of(held, "copy", subject=subject)
            if copy["opens"] and (copy["scope"], copy["category"]) not in retained
        ]
        for probe in of([*history, *held], "probe", subject=subject):
            late = probe["at"] > moment and (probe["scope"], probe["category"]) not in retained
            if late and probe["answer"] == "key":
                wrong.append(
                    f"a {probe['category']} key of {probe['scope']} was handed out after unreadable_at"
                )
    return wrong


def o3_no_canary(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """No planted text stands in clear anywhere in the platform; there is no place inside it where one may."""
    found = [f"a planted text stands in {find['place']}: {find['where']}" for find in of(held, "find")]
    return looked_at.not_searched(held) + found


def o4_same_effects(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """Rows, partners' records and dead letters are those of the undisturbed run: none lost, doubled, reordered."""
    wished = {wish["subject"] for wish in of(history, "wish")}
    orders = [order for order in of(history, "order") if order["fate"] != rules.ORPHAN]
    return [
        *_nothing_accepted_is_lost(history, held),
        *_rows(orders, wished, held),
        *_labels(history, orders, wished, held),
        *_events(history, held),
        *_letters(history, held),
        *_once(held),
        *_in_order(held),
    ]


def _nothing_accepted_is_lost(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    there = {record["id"] for record in of(held, "record", topic="orders")}
    lost = rules.accepted(history) - there
    return [f"{len(lost)} accepted events are not on the topic"] if lost else []


def _rows(orders: Iterable[Line], wished: set[str], held: Sequence[Line]) -> list[str]:
    rows = {row["order"]: row for row in of(held, "order")}
    shipments = {row["order"]: row for row in of(held, "shipment")}
    wrong = []
    for order in orders:
        if order["subject"] in wished:
            continue  # What may be left of them is O1's matter.
        row, wanted = rows.get(order["order"]), rules.expected_row(order)
        if row is None:
            wrong.append(f"order {order['order']} is lost")
            continue
        wrong += [
            f"order {order['order']} has another {name} than undisturbed"
            for name, value in wanted.items()
            if not rules.says_the_same(row[name], value)
        ]
        shipment = shipments.get(order["order"], {}).get("stage")
        if shipment != ("forgotten" if order["fate"] in rules.REASONS else None):
            wrong.append(f"the shipment of {order['order']} stands at {shipment}")
    return wrong


def _labels(
    history: Sequence[Line], orders: Iterable[Line], wished: set[str], held: Sequence[Line]
) -> list[str]:
    fields = {each["name"]: each["fields"] for each in of(history, "carrier")}
    told = _told(held)
    wrong = []
    for order in orders:
        got = told.pop((order["carrier"], order["order"]), [])
        if order["fate"] not in rules.REASONS:
            wanted: list[list[Any]] = [[]]
        else:
            label = rules.expected_label(order, fields[order["carrier"]])
            wanted = [[label, why] for why in rules.expected_reasons(order, order["subject"] in wished)]
        if got not in wanted:
            said = [each if isinstance(each, str) else "label" for each in got]
            wrong.append(f"the carrier of {order['order']} ({order['fate']}) was told {said}")
    return wrong + [f"{carrier} was told about {order}, which nobody ordered" for carrier, order in told]


def _events(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """Return whose events about shipments and holds are not those of their fate; of the forgotten they are the same."""
    shipments: dict[str, list[str]] = defaultdict(list)
    for line in of(held, "record", topic="shipments"):
        shipments[line["body"]["order"]].append(line["type"])
    holds: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for line in of(held, "record", topic="holds"):
        holds[line["body"]["order"]].append((line["type"], line["body"]["revision"]))
    wrong = []
    for order in of(history, "order"):
        name, fate = order["order"], order["fate"]
        if shipments[name] != rules.expected_shipments(order):
            wrong.append(f"the shipment of {name} ({fate}) was told as {shipments[name]}")
        if holds[name] != rules.expected_holds(order):
            wrong.append(f"the holds of {name} ({fate}) were told as {holds[name]}")
    return wrong


def _told(held: Sequence[Line]) -> dict[tuple[str, str], list[Any]]:
    """Return, by carrier and order, what stands on the carrier's topic: the opened label, then the reason.

    The order id that each address was given tells whose label it is: the reference tells nobody.
    """
    by_reference: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for record in of(held, "record"):
        carrier = record["topic"].removeprefix("partner.").removesuffix(".shipments")
        if carrier != record["topic"] and record["type"] in (OFFERED, REVOKED):
            said = record["label"] if record["type"] == OFFERED else record["reason"]
            by_reference[carrier, record["key"]].append(said)
    told: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for (carrier, reference), said in by_reference.items():
        label = next((each for each in said if isinstance(each, Mapping)), None)
        order = label["address_lines"][-1] if label else f"reference {reference}"
        told[carrier, order] += said
    return told


def _letters(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    wanted = rules.expected_letters(history)
    letters = list(of(held, "letter"))
    places = Counter((each["worker"], each["topic"], each["partition"], each["offset"]) for each in letters)
    found = {(each["worker"], each["code"], each["scope"] or _place(each)) for each in letters}
    return [
        *(f"dead letter {code} of {what} is lost" for _, code, what in sorted(wanted - found)),
        *(f"{worker} set aside {what}: {code}" for worker, code, what in sorted(found - wanted)),
        *(f"dead letter {place} is doubled" for place, count in places.items() if count > 1),
    ]


def _place(letter: Line) -> str:
    return f"{letter['topic']}/{letter['partition']}/{letter['offset']}"


def _once(held: Sequence[Line]) -> list[str]:
    """Every outgoing event is there once; at the edge a storefront or partner may have repeated itself."""
    own = (record for record in of(held, "record") if not _from_outside(record["topic"]))
    counts = Counter((record["topic"], record["id"]) for record in own)
    return [f"event {name} is on {topic} {n} times" for (topic, name), n in counts.items() if n > 1]


def _from_outside(topic: str) -> bool:
    return topic in ("orders", "erasure.requests") or topic.endswith(".updates")


def _in_order(held: Sequence[Line]) -> list[str]:
    """Per person shipments follow payments; per order nothing ends before it began, and revisions only rise."""
    wrong = []
    shipments = list(of(held, "record", topic="shipments"))
    payments = _firsts(of(held, "record", topic="orders", type=rules.PAID))
    for subject, asked in _firsts(line for line in shipments if line["type"] == rules.REQUESTED).items():
        paid = [order for order in payments.get(subject, []) if order in asked]
        if asked != paid:
            wrong.append(f"shipments of {subject} were asked for in another order than they were paid")
    begun: set[str] = set()
    for line in shipments:
        order = line["body"]["order"]
        if line["type"] in ENDED and order not in begun:
            wrong.append(f"the shipment of {order} ended before it began")
        begun.add(order)
    revisions: dict[str, list[int]] = defaultdict(list)
    for line in of(held, "record", topic="holds"):
        revisions[line["body"]["order"]].append(line["body"]["revision"])
    return wrong + [
        f"revisions of {order} went {told}"
        for order, told in revisions.items()
        if told != sorted(set(told))
    ]  # fmt: skip


def _firsts(lines: Iterable[Line]) -> dict[str, list[str]]:
    """Return each person's orders in the order in which they were first named."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines:
        found[line["key"]].setdefault(line["body"]["order"])
    return {subject: list(orders) for subject, orders in found.items()}


def o5_endings_add_up(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """Per worker and topic: consumed + repeated + suppressed + dead-lettered = records that were there to read."""
    ended: Counter[tuple[str, str]] = Counter()
    for line in of(held, "ending"):
        ended[line["worker"], line["topic"]] += line["count"]
    there = {(line["worker"], line["topic"]): line["count"] for line in of(held, "there")}
    return looked_at.not_read(history, held) + [
        f"{worker} ended {ended[worker, topic]} of {there.get((worker, topic), 0)} records of {topic}"
        for worker, topic in sorted({*ended, *there})
        if ended[worker, topic] != there.get((worker, topic), 0)
    ]


def o6_recovers(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """After the last fault all was ready and read to its end in time; nothing waits, nobody has ended by himself."""
    recovered = list(of(history, "recovered"))
    wrong = looked_at.not_asked(held) + ([] if recovered else ["it never recovered"])
    wrong += [
        f"recovery took {seconds:.0f} s, stated are {each['within']:.0f} s"
        for each in recovered
        if (seconds := max(each["seconds"], _seconds_since_the_last(history))) > each["within"]
    ]
    wrong += [
        f"{line['instance']} has ended by itself, with {line['code']}"
        for line in of(history, "gone", expected=False)
    ]
    wrong += [f"{line['instance']} is not ready" for line in of(held, "process") if line["state"] != "ready"]
    return wrong + [
        f"{line['what']}: {line['count']} still wait" for line in of(held, "waiting") if line["count"]
    ]


def _seconds_since_the_last(history: Sequence[Line]) -> float:
    """Return from when the last fault was over until everything was at rest: mending is part of it."""
    over: float | None = None
    since = 0.0
    for line in history:
        match line["kind"], line.get("phase"):
            case "fault", "begins":
                over = None
            case "over", _:
                over = line["at"]
            case "fault", "ends":
                since = over or line["at"]
            case "recovered", _ if since:
                return float(line["at"] - since)
    return 0.0


def _retained(certificate: Line) -> set[tuple[str, str]]:
    return {(scope, part["category"]) for part in certificate["retained"] for scope in part["scopes"]}


ORACLES: Mapping[str, Oracle] = {
    "O1": o1_no_resurrection,
    "O2": o2_unreadable,
    "O3": o3_no_canary,
    "O4": o4_same_effects,
    "O5": o5_endings_add_up,
    "O6": o6_recovers,
}


def judge(history: Sequence[Line], held: Sequence[Line]) -> dict[str, list[str]]:
    """Return what each oracle finds wrong; only oracles that found something."""
    # Once through JSON: what was written down is judged, not what the harness had in its hands.
    history, held = json.loads(json.dumps([list(history), list(held)]))
    found = {name: oracle(history, held) for name, oracle in ORACLES.items()}
    return {name: wrong for name, wrong in found.items() if wrong}
