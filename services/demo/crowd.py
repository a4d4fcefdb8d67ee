"""Many people are forgotten at once while the shop goes on selling: how long it takes, under load."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from services.demo.erasing import ask, await_certificate, newest, status_of, times_of
from services.demo.findings import Check, median, share
from services.demo.scene import Erasing, Scene
from services.demo.streaming import dead_letters, deliver, patience, stages, stream_late_orders
from services.demo.waiting import until

CROWD_SECONDS = 300.0
OVER = {"closed", "cancelled"}


def forget_a_crowd(scene: Scene) -> Iterator[Check]:
    """Ask for all of them while the last orders come in, and wait for every certificate."""
    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream_late_orders, scene)
        asked = [ask(scene, person) for person in scene.script.cast.crowd]
        refused = streaming.result()
    until(lambda: all(status_of(scene, each).get("state") == "certified" for each in asked), CROWD_SECONDS)
    certified = [each for each in asked if await_certificate(scene, each)]
    typical = _measured(scene, certified)
    says = f"{len(certified)} more people forgotten while {len(scene.script.late)} orders came in"
    yield Check(
        "crowd_certified",
        len(certified) == len(asked),
        f"{says}: keys destroyed after {typical:.2f} s (median)",
    )
    yield from _settled(scene, refused)


def _measured(scene: Scene, certified: list[Erasing]) -> float:
    """Note the times of all these erasures; return the median until destruction."""
    times = [times_of(newest(each)) for each in certified]
    figures = scene.findings.figures
    for name in times[0] if times else ():
        values = [each[name] for each in times]
        figures[f"crowd_{name}_median"], figures[f"crowd_{name}_p99"] = median(values), share(values, 0.99)
    figures["crowd_erasures"] = len(times)
    return figures.get("crowd_verified_to_destroyed_seconds_median", 0.0)


def _settled(scene: Scene, refused: int) -> Iterator[Check]:
    """Deliver what is left, and see that exactly the cancellations of unknown orders were set aside."""

    def quiet() -> bool:
        deliver(scene)
        return stages(scene).keys() <= OVER

    closed = until(quiet, patience(scene))
    says = ", ".join(f"{count} {stage}" for stage, count in sorted(stages(scene).items()))
    yield Check("everything_closed", closed, f"no order is left open: {says}")
    found = dead_letters(scene)
    said = ", ".join(f"{count} {reason}" for reason, count in found.items()) or "none"
    says = f"{refused} cancellations name no order of these days; dead letters: {said}"
    yield Check("dead_letters_are_the_unknown", +found == +Counter({"orders order-unknown": refused}), says)
