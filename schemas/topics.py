"""The access matrix, one page: which events travel on which topic, who writes and reads it, how long it stays.

Kafka topics and ACLs, database roles, keyring rights, the AsyncAPI document, the picture in the README and
`lethe show` are all derived from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from schemas.clicks import CellsSeen
from schemas.deliveries import CopyForgotten, ParcelTracked
from schemas.erasure import (
    CertificateIssued,
    Destroy,
    Erase,
    ErasureRequested,
    GroundEnded,
    KeysDestroyed,
    PartnerAcknowledged,
    Receipt,
    RequestProgressed,
)
from schemas.holds import HoldConfirmed, HoldReleased
from schemas.orders import OrderCancelled, OrderPaid, OrderPlaced
from schemas.partners import CopyErased, CopyRevoked, ParcelOffered, ParcelReported
from schemas.privacy import Category, Event, Purpose
from schemas.shipments import ShipmentCancelled, ShipmentClosed, ShipmentRequested
from schemas.statistics import Counted, MassDropped, Recommended

LANES = 12
"""Partitions of every subject-keyed topic, for ever: a subject's events and its erasure share a number."""
FOREVER: timedelta | None = None
WEEK = timedelta(days=7)
MONTH = timedelta(days=30)
CLICKS_LOG = timedelta(days=2)
"""Longer than a day's window and its grace; the key of its tags dies sooner."""
PARTNER_LOG = timedelta(hours=72)
"""How long a partner's topic keeps copies that do not die with our keys (D4)."""


@dataclass(frozen=True)
class Topic:
    """One topic; `keep` None means for ever."""

    name: str
    events: tuple[type[Event], ...]
    writers: frozenset[str]
    readers: frozenset[str]
    keep: timedelta | None = WEEK
    partitions: int = LANES
    subject_keyed: bool = True
    hourly_time: bool = False
    """True: a record's timestamp is the hour that its writer says, not when the broker appended it."""
    compacted: bool = False
    """True: a worker's own memory; of each key the last record stays, however old, and one without a value ends it."""

    @cached_property
    def by_type(self) -> Mapping[str, type[Event]]:
        """The events of this topic by their type."""
        return {event.type: event for event in self.events}


def _topic(name: str, *events: type[Event], writers: set[str], readers: set[str], **more: Any) -> Topic:
    return Topic(name, events, frozenset(writers), frozenset(readers), **more)


OWNERS = ("orders", "carriers")
"""Every worker that keeps rows about subjects: each owes a receipt to every erasure."""

ORDERS = _topic("orders", OrderPlaced, OrderPaid, OrderCancelled, writers={"gateway"}, readers={"orders"})
SHIPMENTS = _topic(
    "shipments",
    ShipmentRequested,
    ShipmentCancelled,
    ShipmentClosed,
    writers={"orders"},
    readers={"carriers"},
)
DELIVERIES = _topic(
    "deliveries", ParcelTracked, CopyForgotten, writers={"carriers"}, readers={"orders", "carriers"}
)
HOLDS = _topic("holds", HoldConfirmed, HoldReleased, writers={"orders"}, readers={"keyring"}, keep=FOREVER)
REQUESTS = _topic(
    "erasure.requests", ErasureRequested, writers={"gateway"}, readers={"erasure", "gateway"}
)  # The gateway reads its own, so that a restored database knows again what was asked.
COMMANDS = _topic(
    "erasure.commands", Destroy, Erase, writers={"erasure"}, readers={"keyring", *OWNERS}, keep=FOREVER
)
RECEIPTS = _topic(
    "erasure.receipts",
    KeysDestroyed,
    GroundEnded,
    Receipt,
    PartnerAcknowledged,
    writers={"keyring", *OWNERS},
    readers={"erasure"},
)
CERTIFICATES = _topic(
    "certificates",
    RequestProgressed,
    CertificateIssued,
    writers={"erasure"},
    readers={"gateway"},
    keep=FOREVER,
)

CLICKS = _topic(
    "clicks", CellsSeen, writers={"gateway"}, readers={"clickstream"},
    keep=CLICKS_LOG, subject_keyed=False, hourly_time=True,
)  # fmt: skip
STATISTICS = _topic(
    "statistics", Counted, MassDropped, writers={"clickstream"}, readers={"recommendations", "insights"},
    keep=MONTH, subject_keyed=False,
)  # fmt: skip
RECOMMENDATIONS = _topic(
    "recommendations", Recommended, writers={"recommendations"}, readers={"insights"},
    keep=MONTH, subject_keyed=False,
)  # fmt: skip
RECOMMENDATIONS_ROWS = _topic(
    "recommendations-rows-changelog", writers={"recommendations"}, readers={"recommendations"},
    keep=FOREVER, subject_keyed=False, compacted=True,
)  # fmt: skip
"""What recommendations remembers: published numbers of 30 days. It has no events, and is nobody else's to read."""

TOPICS = (
    ORDERS,
    SHIPMENTS,
    DELIVERIES,
    HOLDS,
    REQUESTS,
    COMMANDS,
    RECEIPTS,
    CERTIFICATES,
    CLICKS,
    STATISTICS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_ROWS,
)

MINTS = {"gateway": frozenset({Category.TRANSACTION, Category.LOGISTICS, Category.ACCOUNTING})}
"""Whose new keys a principal may ask for; nobody who mints may open."""
OPENS = {"carriers": {Category.LOGISTICS: Purpose.DELIVERY}}
"""Which categories a principal may open, and for which purpose (U1)."""

TAGS = frozenset({"gateway"})
"""Who may have the key that tags are made under: the one key that is kept beyond a batch, for a day at most."""

WORKERS = (
    "keyring",
    "gateway",
    "orders",
    "carriers",
    "erasure",
    "clickstream",
    "recommendations",
    "insights",
)
"""Every principal that is a process of ours."""
OPERATOR = "operator"
"""Reads every topic, for people with Kafka tools; what it reads is sealed."""


def for_carrier(partner: str) -> tuple[Topic, Topic]:
    """Return a carrier's own two topics: what it is sent, what it reports."""
    principal = f"partner.{partner}"
    out = _topic(
        f"{principal}.shipments", ParcelOffered, CopyRevoked,
        writers={"carriers"}, readers={principal}, keep=PARTNER_LOG, partitions=1, subject_keyed=False,
    )  # fmt: skip
    updates = _topic(
        f"{principal}.updates", ParcelReported, CopyErased,
        writers={principal}, readers={"carriers"}, keep=WEEK, partitions=1, subject_keyed=False,
    )  # fmt: skip
    return out, updates


def read_by(principal: str) -> tuple[Topic, ...]:
    """Return the topics that a worker consumes."""
    return tuple(topic for topic in TOPICS if principal in topic.readers)


def written_by(principal: str) -> tuple[Topic, ...]:
    """Return the topics that a worker produces to."""
    return tuple(topic for topic in TOPICS if principal in topic.writers)
