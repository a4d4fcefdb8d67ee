"""Orders, dispatch and one carrier on in-memory twins: what a shop, a carrier and an erasure can do to them."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
from joserfc import jwe
from joserfc.jwk import ECKey

from schemas.addresses import Recipient
from schemas.envelope import Envelope, read_envelope
from schemas.erasure import Destroy, Erase, Held, Receipt
from schemas.holds import Ground, HoldConfirmed, HoldReleased
from schemas.orders import Basket, CancelReason, Invoice, Line, OrderCancelled, OrderPaid, OrderPlaced
from schemas.partners import CopyErased, ParcelOffered, ParcelReported
from schemas.privacy import Category, Event
from schemas.topics import COMMANDS, HOLDS, LANES, ORDERS, RECEIPTS, TOPICS
from services.dispatch import app as dispatch
from services.dispatch.agreements import Agreement
from services.dispatch.domain import Partner
from services.dispatch.partners import ALGORITHMS, check_key
from services.dispatch.settings import Settings as DispatchSettings
from services.dispatch.store import MemoryShipments
from services.kernel.broker.interface import Message
from services.kernel.broker.memory import MemoryBroker
from services.kernel.ids import derived_id, random_id
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import KeyRef
from services.kernel.sealing.memory import MemoryVault
from services.kernel.sealing.place import place
from services.kernel.storage.memory import MemoryStorage
from services.kernel.worker.loop import Loop
from services.orders import app as orders
from services.orders.settings import Settings as OrderSettings
from services.orders.store import MemoryOrders

NOBODYS = {
    "principal": "test", "instance": "test", "kafka": "-", "kafka_password": "-", "database_port": 1,
    "database_name": "-", "database_password": "-",
}  # fmt: skip
OUT, UPDATES = "partner.swift.shipments", "partner.swift.updates"
FIELDS = ("name", "address_lines", "city", "postal_code", "country")
DAY = timedelta(days=1)


def agreement(**change):
    """Return an agreement that is in force now."""
    now = datetime.now(UTC)
    said = {"sha256": "ab" * 32, "fields": FIELDS, "valid_from": now - DAY, "valid_to": now + DAY}
    return Agreement(**{**said, **change})


def recipient(note):
    """Return an address with something that only this person has."""
    return Recipient(
        name=f"Name {note}", address_lines=(f"1 {note} Street",), city="Town", postal_code="AB1 2CD", country="GB",
        delivery_note=f"Note {note}",
    )  # fmt: skip


def basket():
    """Return a basket that adds up."""
    line = Line(sku="S1", name="Thing", quantity=2, unit_price_minor=150)
    now = datetime.now(UTC)
    return Basket(number="N1", placed_at=now, currency="GBP", exponent=2, lines=(line,), total_minor=300)


def invoice():
    """Return an invoice."""
    return Invoice(
        number="I1", issued_at=datetime.now(UTC), buyer="A Buyer", country="GB", currency="GBP", exponent=2,
        tax_minor=50, total_minor=300,
    )  # fmt: skip


class Room:
    """One platform in memory. The keyring's vault hears of grounds when an erasure begins."""

    def __init__(self, **dispatch_settings):
        partner_topics = {OUT: 1, UPDATES: 1}
        self.broker = MemoryBroker(dict.fromkeys((each.name for each in TOPICS), LANES) | partner_topics)
        self.vault = MemoryVault()
        self.shop = self.vault.principal("gateway")
        self.storages = {"orders": MemoryStorage(), "carriers": MemoryStorage()}
        self.key = ECKey.generate_key("P-256")
        settings = DispatchSettings(**NOBODYS, **{"retry_held_seconds": 0.05} | dispatch_settings)
        self.workers = [
            *orders.build(OrderSettings(**NOBODYS, returns_window_days=0), MemoryOrders()),
            *dispatch.build(settings, MemoryShipments(), self.vault.principal("carriers")),
        ]
        self.loops = {}

    # -- the platform --

    async def start(self, *names):
        """Start these workers, or all."""
        for worker in self.workers:
            if not names or worker.name in names:
                loop = Loop(worker, self.broker, self.storages[worker.name.partition(".")[0]])
                self.loops[worker.name] = loop, asyncio.create_task(loop.run())
        await self.until(lambda: all(loop.ready for loop, _ in self.loops.values()))

    async def stop(self, *names):
        """Stop these workers, or all; raises what one of them raised."""
        for name in names or list(self.loops):
            loop, task = self.loops.pop(name)
            loop.stop()
            await task

    async def settle(self):
        """Wait until every running worker has handled and published everything there is."""
        await self.until(self.settled)

    async def until(self, true):
        """Wait until something is so; raises what a worker raised meanwhile."""
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.01)
                for _, task in self.loops.values():
                    if task.done():
                        await task

    def settled(self):
        """Say whether nothing waits but timers that are not due."""
        written = Counter(each.topic for log in self.broker.logs.values() for each in log.records if each)
        for worker in self.workers:
            tables = self.storages[worker.name.partition(".")[0]].tables
            ended = Counter()
            for (topic, _), count in tables.endings.items():
                ended[topic] += count
            read = [UPDATES] if worker.pattern else [topic.name for topic in worker.reads]
            soon = datetime.now(UTC) + timedelta(seconds=1)
            due = any(row.due_at < soon and "retried" not in row.event_type for row in tables.timers.values())
            behind = any(ended[topic] != written[topic] for topic in read)
            if worker.name in self.loops and (behind or due or any(tables.outbox.values())):
                return False
        return True

    # -- the shop --

    async def sealed(self, subject, order, field, category, value):
        """Return a value sealed as the gateway does it, or why no key was minted."""
        ref = KeyRef(subject, category, order)
        (key,) = (await self.shop.mint("shop", [ref])).keys
        return seal(
            key, place("orders", order, field), orjson.dumps(value.model_dump(mode="json", exclude_none=True))
        )

    async def place(self, subject, order, note, carrier="swift"):
        """Place an order."""
        shipped = await self.sealed(subject, order, "ship_to", Category.LOGISTICS, recipient(note))
        bought = await self.sealed(subject, order, "basket", Category.TRANSACTION, basket())
        event = OrderPlaced.model_validate(
            {"order": order, "carrier": carrier, "basket": bought, "ship_to": shipped}
        )
        self.say(ORDERS.name, subject, event)
        return event

    async def pay(self, subject, order):
        """Pay an order."""
        token = await self.sealed(subject, order, "invoice", Category.ACCOUNTING, invoice())
        self.say(ORDERS.name, subject, OrderPaid.model_validate({"order": order, "invoice": token}))

    def cancel(self, subject, order):
        """Cancel an order."""
        self.say(ORDERS.name, subject, OrderCancelled(order=order, reason=CancelReason.CUSTOMER))

    def say(self, topic, subject, event: Event):
        """Write a record as one of our producers does."""
        envelope = Envelope(random_uuid(), event.type, "/storefronts/shop", subject=subject)
        value = event.model_dump_json(exclude_none=True).encode()
        self.broker.append(Message(topic, subject.encode(), value, envelope.headers()))

    # -- the carrier --

    def sign(self, **change):
        """Put the carrier's key and agreement into the registry."""
        key = check_key(json.dumps(self.key.as_dict(private=False)))
        self.rows("carriers")["partner"]["swift"] = Partner("swift", key, (agreement(**change),))

    def read(self):
        """Return what the carrier finds on its topic: (reference, opened label or reason of the revocation)."""
        return [(record.key.decode(), self.opened(record)) for record in self.broker.records(OUT)]

    def opened(self, record):
        """Open one record as a carrier does."""
        envelope = read_envelope(record.headers)
        if record.value is None:
            return envelope.extensions["reason"]
        offered = ParcelOffered.model_validate_json(record.value)
        opened = jwe.decrypt_compact(offered.label, self.key, algorithms=ALGORITHMS)
        return json.loads(opened.plaintext)

    def report(self, reference, status, topic=UPDATES):
        """Report where a parcel is."""
        self._update(topic, ParcelReported(reference=reference, status=status))

    def acknowledge(self, reference, topic=UPDATES):
        """Say that a copy is erased."""
        self._update(topic, CopyErased(reference=reference))

    def _update(self, topic, event):
        envelope = Envelope(random_uuid(), event.type, "/partners/swift")
        self.broker.append(Message(topic, b"whatever", event.model_dump_json().encode(), envelope.headers()))

    # -- the keyring and the erasure worker --

    def hear_holds(self):
        """Let the keyring hear what orders has said of grounds; what it heard before changes nothing."""
        for record in self.broker.records(HOLDS.name):
            kind = read_envelope(record.headers).type
            event_class = HoldConfirmed if kind == HoldConfirmed.type else HoldReleased
            self.vault.apply(record.key.decode(), event_class.model_validate_json(record.value))

    def erase(self, subject, round_number=1, request="e" * 32):
        """Destroy what no ground holds, then tell every owner."""
        self.hear_holds()
        self.vault.apply(subject, Destroy(request=request, round=round_number))
        pairs = self.vault._people[subject].pairs
        held = tuple(
            Held(scope=scope, category=category, ground=pair.ground or Ground.PROVISIONAL, until=pair.until)
            for (scope, category), pair in sorted(pairs.items())
            if self.vault._held(pair)
        )
        self.say(COMMANDS.name, subject, Erase(request=request, round=round_number, but=held))
        return held

    def receipts(self, owner):
        """Return an owner's receipts, in order."""
        found = (record for record in self.broker.records(RECEIPTS.name))
        receipts = [
            Receipt.model_validate_json(each.value)
            for each in found
            if read_envelope(each.headers).type == Receipt.type
        ]
        return [each for each in receipts if each.owner == owner]

    def said(self, topic, event_class):
        """Return the events of a type on a topic."""
        return [
            event_class.model_validate_json(record.value)
            for record in self.broker.records(topic)
            if record.value and read_envelope(record.headers).type == event_class.type
        ]

    # -- looking inside --

    def rows(self, worker):
        """Return the tables that a worker's own store keeps."""
        return self.storages[worker].tables.worker

    def endings(self, worker, topic):
        """Return how the records of a topic ended."""
        tables = self.storages[worker].tables
        return {ending: count for (name, ending), count in tables.endings.items() if name == topic}

    def letters(self, worker):
        """Return the codes of the dead letters."""
        return [each.code for letters in self.storages[worker].tables.letters.values() for each in letters]


def random_uuid():
    """Return an event id."""
    return derived_id("test", random_id(), "test", 0)
