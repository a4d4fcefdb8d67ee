"""Every point at which a process may die: which process, how often it gets there first, and what brings it there.

Made from the list of steps. A step that is missing here fails the suite, and so does a point that is not reached.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.privacy import Category
from schemas.topics import LANES
from services.kernel.failpoints import Step

SIDES = ("before", "after")
TOGETHER, IN_TURN = 3, 2
"""In one round at most so many processes die, and each of them so many times, at a point of its own each time."""


@dataclass(frozen=True)
class Reach:
    """How a step of a process is reached."""

    step: Step
    worker: str
    times: tuple[int, int] = (1, 1)
    """The least and the most times of which chance takes one: the process dies the so-manieth time."""
    drive: str = ""
    """What besides orders and erasures brings it there (crash_drives.py)."""
    first: str = ""
    """A point to die at before: some steps have work only after another crash."""


IDLE = LANES + 1
"""A worker looks for due timers in each lane when it begins; records come after that."""
_FEW = (1, 5)

OWNERS = (
    Reach(Step.STREAMS, "carriers", drive="new-carrier"),
    Reach(Step.JOIN, "orders"),
    Reach(Step.BEGIN, "carriers", drive="new-carrier"),
    Reach(Step.FETCH, "orders", (3, 20)),
    Reach(Step.LOCK, "orders", (IDLE, IDLE + 15)),
    Reach(Step.DUE, "orders", (IDLE, IDLE + 5)),
    Reach(Step.OBEY, "orders"),
    Reach(Step.SUPPRESS, "orders", _FEW),
    Reach(Step.LOAD, "orders", _FEW),
    Reach(Step.STORE, "orders", _FEW),
    Reach(Step.OUTBOX, "orders", _FEW),
    Reach(Step.PROGRESS, "orders", _FEW),
    Reach(Step.COMMIT, "orders", (IDLE, IDLE + 15)),
    Reach(Step.TELL, "orders"),
    Reach(Step.TAKE_OVER, "orders", (1, LANES)),
    Reach(Step.RECALL, "orders", (1, LANES), first="forget.before"),
    Reach(Step.PREPARE, "carriers", (1, 3)),
    Reach(Step.SEND, "orders", _FEW),
    Reach(Step.PUBLISH, "orders", _FEW),
    Reach(Step.FORGET, "orders", _FEW),
    Reach(Step.MINT_LOCK, "keyring", (1, 3)),
    Reach(Step.MINT_STORE, "keyring", (1, 3)),
    Reach(Step.MINT_COMMIT, "keyring", (1, 3)),
    Reach(Step.ADOPT, "keyring", drive="adoption"),
    Reach(Step.OPEN, "keyring", (1, 3)),
    Reach(Step.FENCE, "keyring", _FEW),
    Reach(Step.DESTROY, "keyring"),
    # At its start the keyring looks whether each category has a version.
    Reach(Step.KEK_BEGIN, "keyring", (len(Category) + 1, len(Category) + 1), drive="rotation"),
    Reach(Step.KEK_CREATE, "keyring", drive="rotation"),
    Reach(Step.REWRAP, "keyring", drive="rotation"),
    Reach(Step.CONDEMN, "keyring", drive="rotation"),
    Reach(Step.KEK_DESTROY, "keyring", drive="rotation"),
    Reach(Step.KEK_BURY, "keyring", drive="rotation"),
    Reach(Step.EXPIRE, "keyring", drive="expiry"),
    Reach(Step.TAG_KEY, "keyring", (1, 3)),
    Reach(Step.TAG_KEY_END, "keyring", drive="visits"),
    Reach(Step.OVER, "clickstream", (3, 8), drive="clicks"),
    Reach(Step.CUT_OFF, "clickstream", (1, LANES), drive="clicks"),
    Reach(Step.CLOSE, "clickstream", (1, 15), drive="clicks"),
    Reach(Step.SWEEP, "clickstream", (1, 8), drive="clicks"),
    Reach(Step.ISSUE, "clickstream", drive="clicks"),
    Reach(Step.SUM, "clickstream", drive="clicks"),
    Reach(Step.KEYS, "gateway", (1, 3)),
    Reach(Step.PRODUCE, "gateway", (1, 3)),
    Reach(Step.REQUEST, "gateway"),
    Reach(Step.ASK, "gateway"),
    # The first time is at its start, the second ten seconds later.
    Reach(Step.TAGS, "gateway", (2, 3)),
    Reach(Step.CLICKS, "gateway", (1, 3), drive="visits"),
)
"""Every step once, where it is at home."""

ALSO = (
    # A request is stored and its command goes out, receipts are folded, the certificate is signed: one record each.
    Reach(Step.STORE, "erasure", (1, 4)),
    Reach(Step.COMMIT, "erasure", (IDLE, IDLE + 3)),
    Reach(Step.SEND, "erasure", (1, 4)),
    Reach(Step.PUBLISH, "erasure", (1, 4)),
    Reach(Step.FORGET, "erasure", (1, 4)),
    Reach(Step.OBEY, "carriers"),
    Reach(Step.STORE, "carriers", _FEW),
    Reach(Step.COMMIT, "carriers", (2 * IDLE, 2 * IDLE + 10)),
    Reach(Step.SEND, "carriers", _FEW),
    Reach(Step.PUBLISH, "carriers", _FEW),
    Reach(Step.FORGET, "carriers", _FEW),
    Reach(Step.LOAD, "clickstream", _FEW, drive="clicks"),
    Reach(Step.STORE, "clickstream", _FEW, drive="clicks"),
    # Beside its batches the worker looks every second which windows are over, and that is no commit of the loop.
    Reach(Step.COMMIT, "clickstream", (IDLE, IDLE + 15), drive="clicks"),
    Reach(Step.PUBLISH, "clickstream", drive="clicks"),
    Reach(Step.FORGET, "clickstream", drive="clicks"),
    Reach(Step.LOAD, "keyring", _FEW),
    Reach(Step.COMMIT, "keyring", (IDLE, IDLE + 10)),
    Reach(Step.PUBLISH, "keyring", (1, 2)),
    Reach(Step.FORGET, "keyring", (1, 2)),
    Reach(Step.STORE, "gateway"),
    Reach(Step.COMMIT, "gateway", (IDLE, IDLE + 1)),
)
"""Steps of the loop again, in the other workers: the same code, other promises."""


@dataclass(frozen=True)
class Point:
    """One side of a step of one process."""

    reach: Reach
    side: str

    @property
    def instance(self) -> str:
        return f"{self.reach.worker}-1"

    @property
    def name(self) -> str:
        return f"{self.instance}:{self.reach.step}.{self.side}"

    def armed(self, seed: int) -> str:
        """Return what to arm it with: which time is chance, and the same for the same seed."""
        number = random.Random(f"{seed} {self.name}").randint(*self.reach.times)
        return f"{self.reach.step}.{self.side}:{number}"


POINTS = tuple(Point(reach, side) for reach in (*OWNERS, *ALSO) for side in SIDES)

SHORT = (
    (
        "orders-1:commit.before",
        "orders-1:commit.after",
        "carriers-1:publish.before",
        "carriers-1:publish.after",
    ),
    (
        "keyring-1:destroy.before",
        "keyring-1:destroy.after",
        "gateway-1:produce.after",
        "erasure-1:forget.before",
    ),
)
"""What `make test` runs, in two rounds: a point for each promise that a crash could break."""


def rounds(points: Iterable[Point]) -> list[tuple[Point, ...]]:
    """Return points that are tried together: a few processes, each at one or two points in turn, one special drive.

    The longest queues go first, so that there are not many more rounds than the busiest process needs.
    """
    wanted = {point.name: point for point in points}
    if set(wanted) == {name for names in SHORT for name in names}:
        return [tuple(wanted[name] for name in names) for names in SHORT]
    queues: Mapping[str, list[Point]] = defaultdict(list)
    for point in wanted.values():
        queues[point.instance].append(point)
    made = []
    while any(queues.values()):
        chosen: list[Point] = []
        for queue in sorted(queues.values(), key=len, reverse=True)[:TOGETHER]:
            for _ in range(IN_TURN):
                drives = {point.reach.drive for point in chosen} - {""}
                fitting = [each for each in queue if not drives or each.reach.drive in ("", *drives)]
                if fitting:
                    queue.remove(fitting[0])
                    chosen.append(fitting[0])
        made.append(tuple(chosen))
    return made
