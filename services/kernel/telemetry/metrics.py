"""Every metric of the platform, declared once: base units, bounded labels, nothing about a person.

A label value is a constant of the code, the name of a topic, of a principal, of a partner or of a storefront;
anything else is counted under `other`, so that neither data nor the number of series can get out of hand.
"""

import re
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

MOST_SERIES = 2_000
"""No metric grows beyond this many label combinations; what comes later is counted under `other`."""
OTHER = "other"
_NAME = re.compile(r"[A-Za-z0-9_.:/{}-]{0,100}")

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(namespace="lethe", registry=REGISTRY)

M = TypeVar("M", bound=MetricWrapperBase)


def bounded(kind: type[M]) -> type[M]:
    """Return the kind of metric with label values held to names, and to `MOST_SERIES` combinations."""

    class Bounded(kind):  # type: ignore[misc, valid-type]
        def labels(self, *values: Any, **named: Any) -> Any:
            asked = values or tuple(named[label] for label in self._labelnames)
            # What was held to its bounds once needs no second look; the loop asks for the same few all day.
            if asked in self._metrics:
                return self._metrics[asked]
            asked = tuple(str(each) for each in asked)
            held = tuple(each if _NAME.fullmatch(each) else OTHER for each in asked)
            if held not in self._metrics and len(self._metrics) >= MOST_SERIES:
                held = (OTHER,) * len(held)
            return super().labels(*held)

    Bounded.__name__ = kind.__name__
    return Bounded


_Counter, _Gauge, _Histogram = bounded(Counter), bounded(Gauge), bounded(Histogram)
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return _Counter(f"lethe_{name}", says, labels, registry=REGISTRY)


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return _Gauge(f"lethe_{name}", says, labels, registry=REGISTRY)


def _histogram(name: str, says: str, *labels: str, buckets: tuple[float, ...] = _FAST) -> Histogram:
    return _Histogram(f"lethe_{name}", says, labels, registry=REGISTRY, buckets=buckets)


# --- the worker loop ---
# Ends up equal to the records read: consumed, repeated, dead-lettered, suppressed.
RECORDS = _counter("records_total", "Records that ended, by how each ended.", "topic", "ending")
# Counts rows written; a redriven one that fails again counts again.
DEAD_LETTERS = _counter("dead_letters_total", "Records set aside, by reason.", "topic", "code")
# Kept apart from `records_total`: the record had its ending when it was set aside.
REDRIVEN = _counter("redriven_total", "Dead letters folded again, by the way they ended.", "topic", "ending")
# Rows, dead letters and those parked behind them; what `dead-letters list` shows.
DEAD_LETTER_ROWS = _gauge("dead_letter_rows", "Dead letters and parked records that wait.", "topic")
# From the transaction's begin to its commit, keyring included, publishing not.
BATCH_SECONDS = _histogram("batch_seconds", "Time of one batch of one lane, begin to commit.")
# One per batch; together with the seconds it shows what a bigger batch would bring.
BATCH_RECORDS = _histogram(
    "batch_records", "Records in one batch.", buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000)
)
# A zombie that was stopped; normal during a rebalance, an alarm when it goes on.
LANE_LOST = _counter("lane_lost_total", "Batches given up because another owner has the lane.")
# How many lanes this instance works on right now.
LANES_OWNED = _gauge("lanes_owned", "Lanes assigned to this instance.", "worker")
# Broker, store or keyring away: the loop waits, nothing is lost.
RETRIES = _counter("retries_total", "Batches rolled back to be tried again, by reason.", "code")
# A store error of class 22/23 was narrowed down to one key.
BISECTIONS = _counter("bisections_total", "Batches that were halved to find the row the database refuses.")
# Due timers folded like records.
TIMERS = _counter("timers_total", "Timers that became due and were folded, by the way they ended.", "ending")
# Every outgoing event exactly once, so this is also what the platform's own topics receive.
RELAY_PUBLISHED = _counter("relay_published_total", "Outbox rows published.", "topic")
# One publishing transaction, begin to commit.
RELAY_SECONDS = _histogram("relay_seconds", "Time of one publishing transaction.")
# Stays near 0; grows while Kafka is away.
OUTBOX_ROWS = _gauge("outbox_rows", "Outgoing rows that wait for Kafka.")
# End offset minus position; what a worker is scaled on.
LAG = _gauge("lag_records", "Records that this instance has yet to read.", "topic", "partition")
# 1 when /ready answers 200.
READY = _gauge("ready", "1 when this process is ready.")

# --- keys ---
# Counted by the worker that asked, as the keyring granted them.
OPENINGS = _counter("openings_total", "Keys handed out to be opened.", "principal", "category", "purpose")
# Refusals of openings and mintings, by typed reason.
KEY_REFUSALS = _counter("key_refusals_total", "Keys that the keyring refused.", "principal", "code")
MINTINGS = _counter("mintings_total", "New keys handed out.", "principal", "category")
# By erasure, by a ground's end or by a provisional key's expiry.
KEYS_DESTROYED = _counter("keys_destroyed_total", "Keys destroyed, by cause.", "category", "cause")
KEYS_LIVE = _gauge("keys_live", "Keys that can still be opened.", "category")
# An overdue ground is an alarm, never a destroyed open order.
GROUNDS_OVERDUE = _gauge("grounds_overdue", "Held pairs whose ground is past its date.", "ground")
KEK_PENDING = _gauge("kek_versions_pending", "Old KEK versions whose destruction is pending.", "category")
REWRAPPED = _counter("rewrapped_total", "Keys wrapped anew under a newer KEK version.", "category")
KEYRING_SECONDS = _histogram("keyring_seconds", "Time of one call to the keyring, at its caller.", "call")

# --- the edge ---
EVENTS_TAKEN = _counter("events_taken_total", "Events that Kafka acknowledged.", "storefront", "type")
# The code is the typed reason the sender saw; no value.
EVENTS_REFUSED = _counter("events_refused_total", "Events refused at the edge, by reason.", "code")
HTTP_REQUESTS = _counter("http_requests_total", "Requests answered, by route template.", "route", "status")
HTTP_SECONDS = _histogram("http_seconds", "Time to answer a request, by route template.", "route")

# --- the door for clicks ---
# Also bots and those who refuse, of whom nothing is read. Of no shop by itself: a small one's would tell when who came.
CLICKS_DROPPED = _counter(
    "clicks_dropped_total", "Events of browsers that were not taken, by reason.", "code"
)
# The names are a closed list; what the fields held was never read.
CLICKS_IDENTITY = _counter(
    "clicks_identity_total", "Fields dropped because they say, or lead to, who somebody is.", "field"
)

# --- the crowd that clicks leave in ---
# Of all shops together; a cell that a visitor contributes to twice within the hour counts once.
CELLS_SENT = _counter("cells_sent_total", "Contributions to cells that Kafka has.")
CELLS_DROPPED = _counter("cells_dropped_total", "Contributions to cells that were given up.", "reason")
# What a killed gateway loses is what waits.
CELLS_WAITING = _gauge("cells_waiting", "Contributions that wait: for a crowd, or for Kafka.", "reason")

# --- insights ---

# Refused by `Sec-GPC`, `DNT` or the shop's own switch: the shop-wide list was given instead.
PERSONAL_REFUSED = _counter(
    "recommendations_personal_refused_total", "Recommendations asked for by who refused personalisation."
)
# `wrong` and `limited` together are somebody who tries, or a person who mistypes.
SIGN_INS = _counter("sign_ins_total", "Attempts to sign in at the merchandiser's page.", "ending")
# What insights knew for 30 days and then removed.
PUBLISHED_REMOVED = _counter("published_rows_removed_total", "Published counts and lists removed by age.")

# --- partners ---
PARTNER_OFFERED = _counter("partner_offered_total", "Parcels offered to a partner.", "partner")
PARTNER_REVOKED = _counter(
    "partner_revoked_total", "Copies a partner was told to erase.", "partner", "reason"
)
PARTNER_FORGOT = _counter("partner_forgot_total", "Copies a partner says it erased: its word.", "partner")
# Erased, or did not open, in the moment of publishing: the partner never got it.
PARTNER_DROPPED = _counter("partner_dropped_total", "Parcels that were not offered.", "partner", "code")
# No agreement, no record: visible, not lost.
PARTNER_HELD = _gauge("partner_held", "Parcels held back because no partner may receive them.", "partner")
# A partner's word that did not come in time: somebody has to call it.
PARTNER_OVERDUE = _gauge("partner_overdue", "Revocations whose acknowledgement is overdue.", "partner")

# --- statistics ---
# As the database has it, whichever instance is asked: counted, repeated, late, implausible, unpublished.
CELLS = _gauge("cells", "Cells of clicks that were read, by what became of each.", "reason")

# --- erasure ---
ERASURES = _counter("erasures_total", "Erasure requests by the state they reached.", "state")
# `incomplete` names its missing owners here, too.
ERASURES_INCOMPLETE = _gauge("erasures_incomplete", "Requests that wait for an owner's receipt.", "owner")
UNREADABLE_SECONDS = _histogram(
    "erasure_unreadable_seconds", "From verified to the end of the last lease.", buckets=_SLOW
)
CERTIFIED_SECONDS = _histogram("erasure_certified_seconds", "From verified to certified.", buckets=_SLOW)

# --- lists made of published numbers ---
# Only those that changed; one that is no more counts, too.
LISTS_TOLD = _counter("lists_told_total", "Lists published, by what they are of.", "listing")

# --- telemetry itself ---
# Not 0 means that somebody tried to log what may not be logged.
LOG_PARTS_DROPPED = _counter("log_parts_dropped_total", "Parts of log lines that may not be said.", "module")
