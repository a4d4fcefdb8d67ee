"""How long everything takes while orders flow: to the carrier, and from a wish to be forgotten to its certificate.

First orders as fast as the platform takes them in, which gives the rate that it can sustain and what each process
costs; then half of that rate, with erasures in between.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from deploy.local import stack as local
from deploy.local.ports import LOOPBACK
from deploy.local.stack import Stack
from schemas.erasure import CertificateIssued, KeysDestroyed
from schemas.topics import CERTIFICATES, RECEIPTS
from tests.benchmarks.costs import Cost, Costs
from tests.benchmarks.result import Result, table
from tests.benchmarks.storefront import Order, Storefront
from tests.benchmarks.tail import Seen, Tail
from tests.benchmarks.watched import Profile, Watched
from tests.fixtures import evidence
from tests.fixtures.carrier import Carrier
from tests.fixtures.shop import Shop

WARM_UP_ORDERS = 500
RUSH_ORDERS = 5_000
AT_ONCE = 50
FLOW_SECONDS = 40.0
ERASURES = 100
WANTED_PER_SECOND = 1_000
"""The rate that was asked about; it is tried where the machine sustains it."""
PATIENCE_SECONDS = 90.0
WORKERS = ("gateway-1", "keyring-1", "orders-1", "carriers-1", "erasure-1")
AROUND = {"kafka": "broker", "postgres-data": "database", "postgres-keyring": "keyring's database"}


@dataclass(frozen=True)
class Rush:
    """What the platform sustains, and what an order costs it then."""

    orders_per_second: float
    costs: dict[str, Cost]
    """Processor seconds for 1,000 orders."""
    gateway: Profile
    dispatch: Profile

    @property
    def sealing(self) -> dict[str, float]:
        """Processor seconds for 1,000 orders that are spent on sealing and on keys."""
        return {
            "in the gateway": self.gateway.sealing * self.costs["gateway-1"].processor_seconds,
            "in dispatch": self.dispatch.sealing * self.costs["carriers-1"].processor_seconds,
            "keyring": self.costs["keyring-1"].processor_seconds,
        }

    def share(self) -> float:
        """Return which part of the workers' processor time that is; broker and databases apart."""
        return sum(self.sealing.values()) / sum(self.costs[each].processor_seconds for each in WORKERS)

    def share_of_all(self) -> float:
        """Return the same with broker and databases, the keyring's own database on the side of the keyring."""
        keys = sum(self.sealing.values()) + self.costs["postgres-keyring"].processor_seconds
        return keys / sum(cost.processor_seconds for cost in self.costs.values())


@dataclass(frozen=True)
class Flow:
    """Seconds, one for each order or erasure."""

    orders_per_second: float
    readable: list[float]
    destroyed: list[float]
    unreadable: list[float]
    certified: list[float]
    longest_lease_seconds: float


@dataclass
class Scene:
    """A platform in full, a shop, a carrier that only reads, and people to be forgotten."""

    stack: Stack
    gateway: Watched
    dispatch: Watched
    shop: Shop
    store: Storefront
    carrier: Carrier
    people: list[Order]

    def rush(self) -> Rush:
        """Send orders as fast as they are accepted, until the carrier could read the last one."""
        with Tail(self.stack, [self.carrier.shipments]) as tail:
            self.store.rush(self.store.orders(WARM_UP_ORDERS), AT_ONCE)
            before = len(tail.await_records(self.carrier.shipments, WARM_UP_ORDERS, PATIENCE_SECONDS))
            orders = self.store.orders(int(RUSH_ORDERS))
            costs = Costs({each: self.stack.pid(each) for each in (*WORKERS, *AROUND)})
            began = time.time()
            with self.gateway.profile() as gateway, self.dispatch.profile() as dispatch:
                self.store.rush(orders, AT_ONCE)
                seen = tail.await_records(self.carrier.shipments, before + len(orders), PATIENCE_SECONDS)
            used = costs.read()
        per_order = {
            name: Cost(1_000 * cost.processor_seconds / len(orders), cost.resident_mib)
            for name, cost in used.items()
        }
        return Rush(len(orders) / (seen[-1].read_at - began), per_order, gateway, dispatch)

    def flow(self, per_second: float, erasures: Sequence[Order]) -> Flow:
        """Send at a steady rate, forget people meanwhile, and wait for all that follows."""
        topics = (self.carrier.shipments, RECEIPTS.name, CERTIFICATES.name)
        with ExitStack() as stack:
            tail = stack.enter_context(Tail(self.stack, topics))
            dispatch = stack.enter_context(self.dispatch.profile())
            forgetting = _Forgetting(self.shop, erasures, FLOW_SECONDS)
            with forgetting:
                sent = self.store.flow(per_second, FLOW_SECONDS)
            labels = tail.await_records(self.carrier.shipments, len(sent), PATIENCE_SECONDS)
            _await_certificates(tail, forgetting.accepted)
            said = tail.of(RECEIPTS.name), tail.of(CERTIFICATES.name)
        destroyed, certified = _first(said[0], KeysDestroyed.type), _first(said[1], CertificateIssued.type)
        at = forgetting.accepted
        return Flow(
            len(sent) / FLOW_SECONDS,
            self._readable(labels),
            [_moment(destroyed[each], "destroyed_at") - at[each] for each in at],
            [_moment(destroyed[each], "unreadable_at") - at[each] for each in at],
            [certified[each].read_at - at[each] for each in at],
            dispatch.longest_lease_seconds,
        )

    def _readable(self, labels: Sequence[Seen]) -> list[float]:
        """Return for each label how long after its order was accepted the carrier could read it."""
        offered = ((each, self.carrier.open(each.value)) for each in labels if each.value)
        return [each.read_at - self.store.accepted[int(label["name"])] for each, label in offered]


class _Forgetting:
    """Asks in a thread, evenly spread, that people be forgotten."""

    def __init__(self, shop: Shop, people: Sequence[Order], seconds: float) -> None:
        import threading

        self._shop = shop
        self._people = people
        self._pause_seconds = seconds / len(people) if people else 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.accepted: dict[str, float] = {}
        """When each request was accepted, which is when it was verified."""

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        for person in self._people:
            request = self._shop.erase(person.subject)
            self.accepted[request] = time.time()
            time.sleep(self._pause_seconds)


def measure(stack: Stack, rounds: int) -> Result:
    """Rush, then flow; there are no rounds: every order and every erasure is a measurement of its own."""
    with tempfile.TemporaryDirectory() as folder:
        scene, helper = _set(stack, Path(folder))
        try:
            rush = scene.rush()
            flows = [scene.flow(rush.orders_per_second / 2, scene.people[:ERASURES])]
            if rush.orders_per_second >= WANTED_PER_SECOND:
                flows.append(scene.flow(WANTED_PER_SECOND, scene.people[ERASURES:]))
        finally:
            helper.stop()
    share = rush.share()
    figures: dict[str, Any] = {
        "sustainable_orders_per_second": round(rush.orders_per_second),
        "cpu_seconds_per_1000_orders": {
            name: round(cost.processor_seconds, 3) for name, cost in rush.costs.items()
        },
        "sealing_and_keyring": {
            "cpu_seconds_per_1000_orders": {name: round(each, 3) for name, each in rush.sealing.items()},
            "labels_for_partners": round(
                rush.dispatch.label * rush.costs["carriers-1"].processor_seconds, 3
            ),
            "share_of_workers": round(share, 3), "share_of_all": round(rush.share_of_all(), 3), "goal": 0.15,
        },
        "flows": [_figures(flow) for flow in flows],
    }  # fmt: skip
    return Result(figures=figures, table=_tables(rush, flows))


def _set(stack: Stack, folder: Path) -> tuple[Scene, Carrier]:
    """Start everything; let some people's orders be delivered and closed, so that they can be forgotten at once."""
    platform = local.start(
        stack.state, only=("keyring", "orders", "erasure"), settings={"orders": {"returns_window_days": "0"}}
    )
    dispatch = Watched.start(platform, "carriers", folder)
    gateway = Watched.start(platform, "gateway", folder)
    platform = local.attach(stack.state)
    shop = Shop.open(platform, folder)
    carrier, helper = Carrier.sign(platform, folder), Carrier.sign(platform, folder)
    helper.start()
    url = f"http://{LOOPBACK}:{gateway.ports['http']}"
    store = Storefront(url, shop.token, carrier.name)
    shop = Shop(shop.name, shop.token, url)
    people = store.orders(2 * ERASURES)
    for start in range(0, len(people), AT_ONCE):
        store.send(people[start : start + AT_ONCE], helper.name)
    closed = "SELECT count(*) AS n FROM orders.orders WHERE stage = 'closed'"
    evidence.await_(
        "all orders of those to be forgotten closed",
        lambda: evidence.rows(platform.admin_dsn(), closed)[0]["n"] >= len(people),
        PATIENCE_SECONDS,
    )
    return Scene(platform, gateway, dispatch, shop, store, carrier, people), helper


def _await_certificates(tail: Tail, requests: dict[str, float]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not requests.keys() <= _first(tail.of(CERTIFICATES.name), CertificateIssued.type).keys():
        assert time.monotonic() < until, "not every request was certified"
        time.sleep(0.2)


def _first(seen: Sequence[Seen], kind: str) -> dict[str, Seen]:
    """Return the first record of a type for each request."""
    found: dict[str, Seen] = {}
    for each in seen:
        if each.headers.get("ce_type") == kind.encode() and each.value:
            found.setdefault(json.loads(each.value)["request"], each)
    return found


def _moment(seen: Seen, name: str) -> float:
    return datetime.fromisoformat(json.loads(seen.value or b"{}")[name]).timestamp()


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def _figures(flow: Flow) -> dict[str, Any]:
    spans = {
        "accepted_to_readable": flow.readable, "verified_to_destroyed": flow.destroyed,
        "verified_to_unreadable": flow.unreadable, "verified_to_certified": flow.certified,
    }  # fmt: skip
    return {
        "orders_per_second": round(flow.orders_per_second),
        "longest_use_of_a_key_seconds": round(flow.longest_lease_seconds, 3),
        **{
            name: {"p50": round(median(each), 3), "p99": round(_p99(each), 3), "count": len(each)}
            for name, each in spans.items()
            if each
        },
    }


def _tables(rush: Rush, flows: Sequence[Flow]) -> str:
    sealing, workers = sum(rush.sealing.values()), sum(rush.costs[each].processor_seconds for each in WORKERS)
    parts = {
        **{each: rush.costs[each].processor_seconds for each in WORKERS},
        **{said: rush.costs[each].processor_seconds for each, said in AROUND.items()},
    }
    costs = table(
        ("process", "CPU s per 1,000 orders"), [(name, f"{used:.3f}") for name, used in parts.items()]
    )
    share = (
        f"The whole path sustains {rush.orders_per_second:,.0f} orders a second. Sealing in the gateway and in "
        f"dispatch and the whole keyring take {sealing:.3f} of the workers' {workers:.3f} CPU s per 1,000 orders: "
        f"{100 * rush.share():.0f} % (goal: below 15 %); with broker and databases, the keyring's own counted as the "
        f"keyring's, {100 * rush.share_of_all():.0f} %."
    )
    rows = [row for flow in flows for row in _rows(flow)]
    return "\n\n".join((costs, share, table(("orders/s", "from … to", "p50 s", "p99 s"), rows)))


def _rows(flow: Flow) -> list[tuple[str, ...]]:
    spans = {
        "order accepted → carrier could read its label": flow.readable,
        "erasure verified → keys destroyed (goal: p99 < 1 s)": flow.destroyed,
        "erasure verified → unreadable, no lease left": flow.unreadable,
        "erasure verified → certificate": flow.certified,
    }
    rate = f"{flow.orders_per_second:,.0f}"
    rows = [(rate, name, f"{median(each):.3f}", f"{_p99(each):.3f}") for name, each in spans.items() if each]
    return [*rows, (rate, "key asked for → let go of, longest", "–", f"{flow.longest_lease_seconds:.3f}")]
