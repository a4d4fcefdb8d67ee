"""The shop's days: orders are placed and paid, labels reach the carriers, parcels are delivered, orders close."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from services.demo.carrier import Label
from services.demo.findings import Check
from services.demo.retail import Cancellation, Purchase
from services.demo.scene import DOORSTEP, Scene
from services.demo.waiting import until

_STAGES = "SELECT stage, count(*) AS count FROM orders.orders GROUP BY stage"


def stream_early_orders(scene: Scene) -> Iterator[Check]:
    """Place and pay the first days' orders, and wait until every carrier has its labels."""
    script = scene.script
    _introduce(scene)
    orders, began = len(script.early), time.monotonic()
    with scene.telling.watching(lambda: counters(scene)):
        _sell(scene, script.early)
        folded = until(lambda: stages(scene).get("paid", 0) == orders, patience(scene))
        folded_seconds = time.monotonic() - began
        arrived = until(lambda: _labels(scene) == orders, patience(scene))
    seconds, report = time.monotonic() - began, scene.shop.lethe.report()
    figures = {"orders_streamed": orders, "orders_per_second": orders / seconds}
    scene.findings.figures |= {**figures, "events_per_second": 2 * orders / folded_seconds}
    accepted = folded and report.accepted == 2 * orders and not report.refused
    says = f"{orders} orders placed and paid, acknowledged when Kafka had them sealed, folded in {folded_seconds:.1f} s"
    yield Check("orders_accepted", accepted, says)
    yield Check(
        "labels_arrived", arrived, f"{_labels(scene)} labels at the carriers, one each, after {seconds:.1f} s"
    )


def deliver_and_close(scene: Scene) -> Iterator[Check]:
    """Cancel what was cancelled, deliver all else but one parcel, and wait until those orders are closed."""
    mine = {each.number for each in scene.script.early}
    cancelled = _cancel(scene, [each for each in scene.script.cancellations if each.order in mine])
    with scene.telling.watching(lambda: counters(scene)):
        told = until(lambda: sum(len(each.revoked) for each in scene.carriers) == cancelled, patience(scene))
        delivered = deliver(scene)
        closed = until(lambda: stages(scene).get("closed", 0) == delivered, patience(scene))
    yield Check("cancelled", told, f"{cancelled} orders cancelled on their way, their labels revoked")
    says = f"{delivered} delivered, their returns window over: closed; one parcel still on its way"
    yield Check("closed", closed, says)


def stream_late_orders(scene: Scene) -> int:
    """Place and pay the last orders and tell every cancellation left; return how many records must be refused."""
    late = {each.number for each in scene.script.late}
    _sell(scene, scene.script.late)
    early = {each.number for each in scene.script.early}
    left = [each for each in scene.script.cancellations if each.order not in early]
    unknown = [each for each in left if each.order is None]
    _cancel(scene, unknown)
    before = stages(scene).get("cancelled", 0)
    cancelled = _cancel(scene, [each for each in left if each.order in late])
    # Nothing is delivered before every worker knows what must not be.
    until(lambda: stages(scene).get("cancelled", 0) == before + cancelled, patience(scene))
    return len(unknown)


def deliver(scene: Scene, but: str = DOORSTEP) -> int:
    """Deliver every parcel that carriers have, but for the one with this note; return how many."""
    return sum(each.deliver(lambda label: not _says(label, but)) for each in scene.carriers)


def patience(scene: Scene) -> float:
    """Return how many seconds everything may take to settle: a slow machine gets its time."""
    return 120 + scene.script.purchases * 0.1


def stages(scene: Scene) -> dict[str, int]:
    """Return how many orders stand where."""
    return {row["stage"]: row["count"] for row in scene.room.rows(_STAGES)}


def dead_letters(scene: Scene) -> Counter[str]:
    """Return how many records all workers have set aside, by worker and reason."""
    listed = scene.room.lethe("dead-letters", "list", "--limit", "10000").answer.get("dead_letters", [])
    return Counter(f"{letter['worker']} {letter['code']}" for letter in listed)


def counters(scene: Scene) -> Mapping[str, object]:
    """Return what moves, for the live view."""
    report = scene.shop.lethe.report()
    found = stages(scene)
    return {
        "events accepted": report.accepted,
        "waiting": report.waiting,
        **{
            f"orders {stage}": found.get(stage, 0)
            for stage in ("placed", "paid", "delivered", "closed", "cancelled")
        },
        "labels opened": _labels(scene),
        "copies forgotten": sum(len(each.revoked) for each in scene.carriers if each.acknowledges),
    }


def _introduce(scene: Scene) -> None:
    cast = scene.script.cast
    scene.telling.line(
        f"your text is the delivery note of an order of {cast.closed}, whose orders will all be closed"
    )
    scene.telling.line(f"{cast.open} will be forgotten, too, while a parcel is still on its way")


def _sell(scene: Scene, purchases: Iterable[Purchase]) -> None:
    notes = _notes(scene)
    for purchase in purchases:
        scene.shop.sell(purchase, notes.get(purchase.number, ""))
    scene.shop.flush()


def _notes(scene: Scene) -> dict[str, str]:
    """The sceptic's text goes with an order of one customer, the last parcel of another is the one to wait for."""
    cast = scene.script.cast
    last = {each.person: each.number for each in scene.script.early}
    return {last[cast.closed]: scene.script.note, last[cast.open]: DOORSTEP}


def _cancel(scene: Scene, said: Iterable[Cancellation]) -> int:
    """Tell cancellations; return how many orders they are about."""
    known = list(said)
    for each in known:
        scene.shop.cancel(each)
    scene.shop.flush()
    return len({each.order for each in known if each.order})


def _labels(scene: Scene) -> int:
    return sum(each.opened for each in scene.carriers)


def _says(label: Label, note: str) -> bool:
    return label.get("delivery_note") == note
