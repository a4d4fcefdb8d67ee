"""What the shop does during a trial: orders of every fate, repeats, orphans, and people who ask to be forgotten.

Drawn from a seed; only the ids differ between two runs of one seed, because an id is never used twice.
"""

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults import rules
from tests.faults.history import History
from tests.fixtures.canaries import Person
from tests.fixtures.carrier import Carrier
from tests.fixtures.shop import Event, Shop, cancelled, new_id, paid, placed
from tests.fixtures.stream import basket, invoice, recipient

PHASES = 3
"""Before the fault, during it, after it; more where several faults follow each other."""
CHUNK_EVENTS = 20
_FATES = (rules.DELIVERED, rules.NEVER_PAID, rules.TAKEN_BACK, rules.ORPHAN)


class RecordingShop:
    """Says events as any shop would, repeating what was not answered, and writes down every answer."""

    def __init__(self, shop: Shop, history: History) -> None:
        self._shop = shop
        self._history = history

    def say(self, events: Sequence[Event]) -> list[int]:
        """Send events until each has its final answer; return the answers."""
        if not events:
            return []
        statuses = self._shop.send(list(events))
        for event, status in zip(events, statuses, strict=True):
            self._history.tell(
                "said", id=event["id"], type=event["type"], subject=event["subject"],
                order=event["data"].get("order"), status=status,
            )  # fmt: skip
        return statuses

    def wish(self, subject: str) -> str:
        """Ask that a person be forgotten; return the request."""
        began = time.time()
        request = self._shop.erase(subject)
        self._history.tell("wish", subject=subject, request=request, began=began)
        return request


@dataclass
class Load:
    """One trial's orders and people; `let_go` sends the next phase, in the background."""

    shop: RecordingShop
    history: History
    carriers: Sequence[Carrier]
    seed: int
    orders: int = 60
    people: int = 3
    phases: int = PHASES
    orders_known: list[str] = field(default_factory=list)
    requests: dict[str, str] = field(default_factory=dict)
    """Erasure request of each person who asked."""
    forgotten: list[Person] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._allowed = threading.Semaphore(0)
        self._numbers = itertools.count()
        self._bills: dict[str, Event] = {}
        self._subjects = [new_id() for _ in range(self.orders // 2 + 1)]
        self.planned = [self.plan() for _ in range(self.orders)]
        self.forgotten = [Person() for _ in range(self.people)]

    def let_go(self, phases: int = 1) -> None:
        """Let so many more phases be sent."""
        self._allowed.release(phases)

    def send(self) -> None:
        """Send everything; returns when every event and wish has its final answer."""
        share = -(-len(self.planned) // self.phases)
        for phase in range(self.phases):
            self._allowed.acquire()
            self._send(self.planned[phase * share : (phase + 1) * share])
            self._live(phase)

    # -- orders of people who stay --

    def plan(self, fate: str = "", subject: str = "") -> list[Event]:
        """Write down one more order, of a drawn fate if none is given, and return its events, unsent."""
        number = next(self._numbers)
        order, subject = new_id(), subject or self.chance.choice(self._subjects)
        carrier = self.carriers[number % len(self.carriers)].name
        fate = fate or self.chance.choices(_FATES, (70, 12, 12, 6))[0]
        goods, address, bill = basket(number), recipient(number), invoice(number)
        address["address_lines"] = [f"{number} Example Street", order]
        if fate == rules.TAKEN_BACK:
            address["delivery_note"] = rules.KEEP
        self.note(order, subject, carrier, fate, basket=goods, ship_to=address, invoice=bill)
        first = placed(subject, order, carrier, basket=goods, ship_to=address)
        pays, back = paid(subject, order, invoice=bill), cancelled(subject, order)
        events = {
            rules.DELIVERED: [first, pays],
            rules.NEVER_PAID: [first, back],
            rules.TAKEN_BACK: [first, pays, back],
            rules.ORPHAN: [pays],
        }
        self.orders_known.append(order)
        return events[fate]

    def note(self, order: str, subject: str, carrier: str, fate: str, **sent: Any) -> None:
        """Write down an order that is going to be sent, with all that will be said of it."""
        self.history.tell("order", order=order, subject=subject, carrier=carrier, fate=fate, sent=sent)

    def _send(self, planned: Sequence[list[Event]]) -> None:
        # A shop says "paid" when "placed" was accepted, as a customer's clicks follow each other.
        for step in range(3):
            said = [events[step] for events in planned if step < len(events)]
            for chunk in _chunks(said):
                answers = self.shop.say(chunk)
                assert set(answers) == {202}, answers

    # -- people who ask to be forgotten --

    def _live(self, phase: int) -> None:
        """Let everybody do their part: one is forgotten after delivery, the others in the middle of an order."""
        if phase == 0:
            for person in self.forgotten:
                self._place(person)
            if self.forgotten:
                self._pay(self.forgotten[0])
        for number, person in enumerate(self.forgotten):
            if phase == 1 + number % (self.phases - 1):
                if number:
                    self._pay(person)
                self.requests[person.subject] = self.shop.wish(person.subject)

    def _place(self, person: Person) -> None:
        carrier = self.carriers[len(self.orders_known) % len(self.carriers)].name
        event = person.places(carrier)
        order, sent = person.orders[-1], event["data"]
        # The order's id stands on the label, so that the verifier knows whose it is; nothing planted stands there.
        sent["ship_to"]["address_lines"][-1] = order
        person.canaries.pop((order, "logistics", "address-line-3"))
        bill = person.pays(order)
        self.orders_known.append(order)
        self.note(
            order, person.subject, carrier, rules.DELIVERED, basket=sent["basket"], ship_to=sent["ship_to"],
            invoice=bill["data"]["invoice"],
        )  # fmt: skip
        self._bills[order] = bill
        assert self.shop.say([event]) == [202]

    def _pay(self, person: Person) -> None:
        assert self.shop.say([self._bills[person.orders[-1]]]) == [202]


def _chunks(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), CHUNK_EVENTS):
        yield events[start : start + CHUNK_EVENTS]
