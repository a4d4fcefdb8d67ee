"""What must have been looked at before anything can be said to be in order; each function returns what was not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.faults import rules
from tests.faults.history import Line, of


def not_tried(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """Every sealed part of the forgotten was found on its topic; for the key of each address it was asked when dead."""
    copies = {(copy["scope"], copy["category"]) for copy in of(held, "copy")}
    wished = {wish["subject"] for wish in of(history, "wish")}
    wrong = []
    for order in of(history, "order"):
        if order["subject"] not in wished:
            continue
        name, parts = order["order"], rules.expected_parts(order)
        wrong += [
            f"nobody looked at the copy of {name}/{rules.PARTS[part]}"
            for part in parts
            if (name, rules.PARTS[part]) not in copies
        ]
        if "ship_to" in parts and not any(_late_probes(order, held)):
            wrong.append(f"nobody asked for the logistics key of {name} after unreadable_at")
    return wrong


def _late_probes(order: Line, held: Sequence[Line]) -> Iterator[Line]:
    for certificate in of(held, "certificate", subject=order["subject"]):
        moment = datetime.fromisoformat(certificate["times"]["unreadable_at"]).timestamp()
        for probe in of(held, "probe", subject=order["subject"], scope=order["order"], category="logistics"):
            if probe["at"] > moment:
                yield probe


def not_read(history: Sequence[Line], held: Sequence[Line]) -> list[str]:
    """Of every worker and each of its topics there is one count of what was there to read."""
    counts = Counter((line["worker"], line["topic"]) for line in of(held, "there"))
    return [
        f"what {worker} was to read of {topic} was counted {counts[worker, topic]} times"
        for worker, topic in sorted(rules.expected_readings(history))
        if counts[worker, topic] != 1
    ]


def not_searched(held: Sequence[Line]) -> list[str]:
    """Every place was searched, and there was something to search."""
    searched = {line["place"] for line in of(held, "searched") if line["bytes"]}
    return [f"nobody searched {place}" for place in rules.SEARCHED if place not in searched]


def not_asked(held: Sequence[Line]) -> list[str]:
    """Every process was asked how it is, once, and every queue how much waits in it."""
    asked = Counter(line["instance"] for line in of(held, "process"))
    queues = [line["what"] for line in of(held, "waiting")]
    wanted = ["outgoing rows", *(f"records before {worker}" for worker in rules.READS)]
    return [
        *(f"{name} was asked {asked[name]} times how it is" for name in rules.INSTANCES if asked[name] != 1),
        *(
            f"{what} were counted by nobody"
            for what in wanted
            if not any(queue == what or queue.startswith(f"{what} ") for queue in queues)
        ),
    ]
