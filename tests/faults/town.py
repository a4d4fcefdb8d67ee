"""A few people whose every word is a canary, on a platform of their own, for faults that go back in time.

gone     asks to be forgotten: one order delivered, one still with the carrier, one not paid yet
late     comes and is forgotten after the backup
stays    never asks: orders like those of `gone`; pays the last one after the backup
new      comes after the backup and stays
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import stack as platforms
from deploy.local.stack import Stack
from tests.faults.faulty import SETTINGS
from tests.fixtures import attic, certificates, evidence, search
from tests.fixtures.canaries import LOGISTICS, MARKS, Person
from tests.fixtures.carrier import FIELDS, KEEP, OFFERED, Carrier
from tests.fixtures.evidence import await_, await_all_read
from tests.fixtures.platform import temporary_state
from tests.fixtures.shop import Shop

PATIENCE_SECONDS = 150.0
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1"
_ID = re.compile(r"[0-9a-f]{32}")
_LEDGERS = {"suppression", "remembered", "erasure", "subject", "pair", "data_key", "timer", "shipment"}
"""Tables that remember by a random id that somebody was forgotten, and what is owed for it."""


@dataclass
class Town:
    """One shop, one carrier, and their customers."""

    stack: Stack
    folder: Path
    shop: Shop = field(init=False)
    carrier: Carrier = field(init=False)
    gone: Person = field(default_factory=Person)
    late: Person = field(default_factory=Person)
    stays: Person = field(default_factory=Person)
    new: Person = field(default_factory=Person)
    requests: dict[str, str] = field(default_factory=dict)

    def open(self) -> "Town":
        """Let the shop in, sign the carrier, and live up to the time of the backup."""
        self.carrier = Carrier.sign(self.stack, self.folder, fields=(*FIELDS, "email")).start()
        self.shop = Shop.open(self.stack, self.folder)
        for person in (self.gone, self.stays):
            self.order(person)
            self.order(person, keep=True)
            self.order(person, pay=False)
        for person in (self.gone, self.stays):
            self.await_stages(person, "closed", "paid", "placed")
        self.rest()
        return self

    @property
    def living(self) -> tuple[Person, Person]:
        return self.stays, self.new

    @property
    def forgotten(self) -> tuple[Person, Person]:
        return self.gone, self.late

    def live_on(self) -> None:
        """Live on after the backup, with two people who are forgotten."""
        self.order(self.late)
        self.order(self.new)
        self.shop.say(self.stays.pays(self.stays.orders[2]))
        self.await_stages(self.stays, "closed", "paid", "closed")
        for person in (self.late, self.new):
            self.await_stages(person, "closed")
        self.rest()
        for person in (self.gone, self.late):
            self.forget(person)
        self.rest()

    def order(self, person: Person, *, keep: bool = False, pay: bool = True) -> str:
        """Place one more order; with `keep` the carrier waits with the parcel."""
        event = person.places(self.carrier.name)
        order = person.orders[-1]
        if keep:
            person.canaries.pop((order, LOGISTICS, "delivery-note"))
            event["data"]["ship_to"]["delivery_note"] = KEEP
        self.shop.say(event)
        if pay:
            self.shop.say(person.pays(order))
        return order

    def forget(self, person: Person) -> None:
        """Ask that a person be forgotten and wait for the certificate."""
        self.requests[person.subject] = self.shop.erase(person.subject)
        self.await_certified(person)

    def await_certified(self, person: Person) -> None:
        request = self.requests[person.subject]
        await_("certified", lambda: self.shop.erasure(request)["state"] == "certified", PATIENCE_SECONDS)

    def stages(self, *people: Person) -> dict[str, tuple[str, int]]:
        """Return where the orders of these people stand."""
        orders = [order for person in people for order in person.orders]
        sql = "SELECT order_id, stage, revision FROM {schema}.orders WHERE order_id = ANY ($1::text[])"
        rows = evidence.of_worker(self.stack, "orders", sql, orders)
        return {row["order_id"]: (row["stage"], row["revision"]) for row in rows}

    def await_stages(self, person: Person, *stages: str) -> None:
        def there() -> bool:
            found = self.stages(person)
            return [found.get(order, ("", 0))[0] for order in person.orders] == list(stages)

        await_(f"orders are {', '.join(stages)}", there, PATIENCE_SECONDS)

    def shipments(self, *people: Person) -> dict[str, tuple[Any, ...]]:
        """Return where the shipments of these people stand, and under which reference."""
        orders = [order for person in people for order in person.orders]
        sql = "SELECT order_id, stage, reference, reason FROM {schema}.shipment WHERE order_id = ANY ($1::text[])"
        rows = evidence.of_worker(self.stack, "carriers", sql, orders)
        return {row["order_id"]: (row["stage"], row["reference"], row["reason"]) for row in rows}

    def rest(self) -> None:
        """Wait until everything is read and published, and what follows from that, too."""
        seen: dict[Any, int] = {}
        while True:
            await_all_read(self.stack, PATIENCE_SECONDS)
            if (marks := evidence.marks(self.stack)) == seen:
                return
            seen = marks

    def restart(self, *, restored: bool = False) -> None:
        """Do what an operator does after putting a copy back."""
        self.stack = platforms.start(
            self.stack.state, only=evidence.WORKERS, settings=SETTINGS, restored=restored
        )

    def told_twice(self) -> dict[str, int]:
        """Return the events that stand more than once on the carrier's topic, and the orders with two labels."""
        entries = evidence.read(self.stack, [self.carrier.shipments])
        ids = Counter(entry.id for entry in entries)
        # Each address is a canary of one order.
        labels = Counter(
            str(self.carrier.open(entry.value or b"")["address_lines"])
            for entry in entries
            if entry.type == OFFERED
        )
        return {name: count for name, count in (*ids.items(), *labels.items()) if count > 1}

    def left_of(self, *people: Person) -> list[str]:
        """Return what is left of forgotten people and should not be."""
        wishes = {person.subject: self.requests[person.subject] for person in people}
        for request in wishes.values():
            certificates.fetch(self.stack, self.shop, request, self.folder)
        return left_of(self.stack, self.shop, people, wishes)

    def in_clear(self) -> list[Any]:
        """Return where any planted text stands in clear (O3)."""
        return search.found(self.stack.state, MARKS)


def left_of(stack: Stack, shop: Shop, people: Sequence[Person], requests: Mapping[str, str]) -> list[str]:
    """Return what is left of forgotten people and should not be: O1, on every copy, with every key that lives."""
    opened = attic.contents(stack, {order for person in people for order, _, _ in person.canaries})
    scopes: dict[str, set[str]] = {}
    wrong = []
    for person in people:
        held = certificates.retained(certificates.contents(shop.certificate(requests[person.subject])))
        allowed = {text for (order, kind, _), text in person.canaries.items() if (order, kind) in held}
        said = "\n".join(opened.get(order, "") for order in {order for order, _, _ in person.canaries})
        wrong += [
            f"{person.name_of(text)} can be read" for text in attic.read_in(said, person.texts()) - allowed
        ]
        scopes[person.subject] = {order for order, _ in held}
    return wrong + sorted({*_rows_left(stack, scopes)})


def _rows_left(stack: Stack, scopes: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield tables with a row that names a forgotten person, but for ledgers and what is about a retained order."""
    for worker in evidence.WORKERS:
        tables = evidence.of_worker(stack, worker, _TABLES, worker)
        for (table,) in tables:
            if table in _LEDGERS:
                continue
            for (text,) in evidence.of_worker(
                stack, worker, f"SELECT each::text FROM {{schema}}.{table} AS each"
            ):
                ids = set(_ID.findall(text))
                for subject in ids & scopes.keys():
                    if not ids & scopes[subject]:
                        yield f"a row about {subject} in {worker}.{table}"


@contextmanager
def own_town(folder: Path) -> Iterator[Town]:
    """A town on a platform of its own, up to the time of the backup."""
    with temporary_state() as state:
        found = Town(platforms.start(state, only=evidence.WORKERS, settings=SETTINGS), folder).open()
        try:
            yield found
        finally:
            found.carrier.stop()
