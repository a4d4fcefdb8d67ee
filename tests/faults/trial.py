"""One trial: a load on a platform, faults while it is on its way, repair, and the verifier's judgement.

with ... as the fixture `trial` gives it:

it = trial(orders=60, people=3)       # waits until the platform is at rest; nothing is sent yet
it.load()                             # the first third of the load goes out, in the background
with it.fault("kill -9", "orders-1"):
    ...                               # do it, and undo it
    it.load()
it.judge()                            # the rest goes out; everything ends; O1 to O6
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from confluent_kafka import KafkaException

from deploy.local.errors import PlatformUnavailable
from tests.faults import holdings
from tests.faults.faulty import Faulty
from tests.faults.history import HOLDINGS, History, Line, of, write
from tests.faults.holdings import Marks
from tests.faults.load import PHASES, Load, RecordingShop
from tests.fixtures import certificates, evidence
from tests.fixtures.evidence import await_
from tests.fixtures.shop import Event
from tests.fixtures.stream import Background

RECOVER_SECONDS = 180.0
"""Stated for every fault: after it has ended everything is ready, read and done within this time.

Far above what is usual, for slow and busy machines.
"""
REST_SECONDS = 120.0
STILL_SECONDS = 1.0
DATABASE_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
ROOT = Path(__file__).parents[2]


class Trial:
    """A load on a platform, and what is done to the platform meanwhile."""

    def __init__(
        self,
        faulty: Faulty,
        history: History,
        seed: int,
        orders: int = 60,
        people: int = 3,
        phases: int = PHASES,
    ) -> None:
        self.faulty = faulty
        self.history = history
        self.shop = RecordingShop(faulty.shop, history)
        for carrier in faulty.carriers:
            history.tell("carrier", name=carrier.name, fields=list(carrier.fields))
        self.orders = Load(self.shop, history, faulty.carriers, seed, orders, people, phases)
        self._left = phases
        self._ended_at = time.monotonic()
        self._over_at: float | None = None
        self._sending: Background | None = None
        self.judged = False

    def begin(self, rest: bool = True) -> "Trial":
        """Wait until nothing moves, so that everything from now on is this trial's (a new platform is at rest)."""
        if rest:
            at_rest(self.faulty, REST_SECONDS)
        self.marks = Marks.of(self.faulty)
        self.faulty.witness = self
        self._sending = Background(self.orders.send)
        self.history.tell("began")
        return self

    def load(self) -> None:
        """Let the next part of the load go out (a third, unless there are more phases)."""
        if self._left:
            self._left -= 1
            self.orders.let_go()

    @contextmanager
    def fault(self, name: str, target: str, **facts: Any) -> Iterator[None]:
        """Note a fault that lasts as long as the block.

        The time of recovery is counted from when mending began within the block, else from its end.
        """
        self._over_at = None
        self.history.tell("fault", name=name, target=target, phase="begins", **facts)
        try:
            yield
        finally:
            self.history.tell("fault", name=name, target=target, phase="ends")
            self._ended_at = self._over_at or time.monotonic()

    @property
    def recovering_seconds(self) -> float:
        """How long ago the last fault was over."""
        return time.monotonic() - self._ended_at

    def over(self) -> None:
        """Note that the last of a fault is done: starting what it has ended is part of the recovery."""
        self._over_at = time.monotonic()
        self.history.tell("over")

    def gone(self, instance: str, code: int | None, *, expected: bool) -> None:
        """Note that a process was found to have ended."""
        self.history.tell("gone", instance=instance, code=code, expected=expected)

    def requests(self, count: int) -> list[str]:
        """Wait until so many people have asked to be forgotten; return their requests."""
        await_("wishes", lambda: len(self.orders.requests) >= count, REST_SECONDS)
        return list(self.orders.requests.values())

    def noticed(self, what: str, seconds: float = 60.0, *, holds: Callable[[], object]) -> None:
        """Wait for something that shows that a fault is felt, and note it."""
        began = time.monotonic()
        await_(what, holds, seconds)
        self.history.tell("noticed", what=what, seconds=round(time.monotonic() - began, 2))

    def door(self, event: Event) -> int:
        """Return what the door answers to an event, asked once; 0 where it does not answer."""
        try:
            return self.faulty.shop.post("/v1/events", event).status_code
        except httpx.TransportError:
            return 0

    def judge(self, within: float = RECOVER_SECONDS) -> None:
        """Send the rest, wait until everything has ended, write down what is held, and ask the verifier."""
        while self._left:
            self.load()
        self._come_to_rest(within)
        seconds = self.recovering_seconds
        self.history.tell("recovered", seconds=round(seconds, 2), within=within)
        held = list(holdings.collect(self.faulty, self.marks, self.orders.orders_known, self.orders.requests))
        write(self.history.folder / HOLDINGS, [*held, *self._probes(held)])
        self._ask_the_verifier()
        self.judged, self.faulty.witness = True, None
        print(f"\n{self.history.folder.name}: recovered {seconds:.1f} s after the last fault")

    def end(self) -> None:
        """Let go of whatever still waits to be sent, and mend: a trial that failed must not spoil the next."""
        while self._left:
            self.load()
        self.faulty.witness = None
        if not self.judged:
            self.faulty.repair()

    def _come_to_rest(self, within: float) -> None:
        assert self._sending is not None
        self._sending.join(within)
        self._ended(within)
        at_rest(self.faulty, within)

    def _ended(self, within: float) -> None:
        try:
            await_("every order has met its fate", self._fates_met, within)
        except AssertionError:
            words = evidence.last_words(self.faulty.stack)
            dead = [carrier.failure for carrier in self.faulty.carriers if carrier.failure is not None]
            raise AssertionError(
                f"orders do not end: {self._unmet()}; processes said {words}; carriers that gave up: {dead}"
            ) from None
        for request in self.orders.requests.values():
            await_("certified, with nothing open", partial(self._settled, request), within)

    def _fates_met(self) -> bool:
        return not self._unmet()

    def _unmet(self) -> dict[str, int]:
        """Return how many orders and copies of people who stay are not at their end."""
        stay = [
            each
            for each in of(self.history.lines(), "order")
            if each["subject"] not in self.orders.requests and each["fate"] != "orphan"
        ]
        orders = [each["order"] for each in stay]
        shipped = [each["order"] for each in stay if each["fate"] != "never-paid"]
        stack = self.faulty.stack
        ended = "SELECT count(*) FROM {schema}.orders WHERE order_id = ANY ($1) AND stage IN ('closed', 'cancelled')"
        gone = "SELECT count(*) FROM {schema}.shipment WHERE order_id = ANY ($1) AND stage = 'forgotten'"
        open_orders = len(orders) - evidence.of_worker(stack, "orders", ended, orders)[0]["count"]
        open_copies = len(shipped) - evidence.of_worker(stack, "carriers", gone, shipped)[0]["count"]
        counts = {"orders open": open_orders, "copies not forgotten": open_copies}
        return {name: count for name, count in counts.items() if count}

    def _settled(self, request: str) -> bool:
        """Whether a request is certified, and only what the law holds is left, and every copy acknowledged."""
        if self.faulty.shop.erasure(request)["state"] != "certified":
            return False
        said = certificates.contents(self.faulty.shop.certificate(request))
        grounds = {(part["category"], part["ground"]) for part in said["retained"]}
        copies = all(each["revoked"] == each["acknowledged"] for each in said["partners"])
        return grounds <= {("accounting", "statutory")} and copies

    # -- tries to get a key that must be dead --

    def _probes(self, held: list[Line]) -> Iterator[Line]:
        """Ask the keyring, as carriers would, for the keys of people who were forgotten, after their lease's end."""
        for certificate in of(held, "certificate"):
            await_unreadable(certificate)
            for copy in of(held, "record", topic="orders", key=certificate["subject"]):
                token = (copy["body"] or {}).get("ship_to")
                if token:
                    yield {
                        "kind": "probe", "at": time.time(), "subject": copy["key"], "scope": copy["body"]["order"],
                        "category": "logistics", "answer": self._try_key(token),
                    }  # fmt: skip

    def _try_key(self, token: str) -> str:
        stack = self.faulty.stack
        login = stack.keyring_token("carriers").get_secret_value()
        body = {"purpose": "delivery", "kids": [kid_of(token)]}
        answer = httpx.post(
            f"{stack.keyring_url}/v1/open",
            json=body,
            headers={"Authorization": f"Bearer {login}"},
            timeout=20,
        )
        assert answer.status_code == 200, answer.status_code
        (key,) = answer.json()["keys"]
        return "key" if "key" in key else key["refused"]

    def _ask_the_verifier(self) -> None:
        command = [sys.executable, "-m", "tests.faults.judge", str(self.history.folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
        assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}"


def _moving(faulty: Faulty) -> list[str]:
    """Return what keeps a platform from being at rest; nothing that cannot be asked is at rest."""
    try:
        lines = list(holdings.waiting(faulty))
    except (OSError, PlatformUnavailable, KafkaException, *DATABASE_AWAY) as error:
        return [f"cannot be asked ({type(error).__name__})"]
    states = [
        f"{each['instance']} {each['state']}" for each in of(lines, "process") if each["state"] != "ready"
    ]
    return states + [f"{each['count']} {each['what']}" for each in of(lines, "waiting") if each["count"]]


def await_unreadable(certificate: Line) -> None:
    """Wait until the last lease on a dead key has ended, as the certificate says."""
    moment = datetime.fromisoformat(certificate["times"]["unreadable_at"]).timestamp()
    time.sleep(max(0.0, moment - time.time() + 0.5))


def kid_of(token: str) -> str:
    """Return which key a sealed value names (RFC 7516: the protected header comes first)."""
    header = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def at_rest(faulty: Faulty, seconds: float) -> None:
    """Wait until every worker is ready and nothing waits to be read or published, for a little while on end."""
    until = time.monotonic() + seconds
    still_since: float | None = None
    while True:
        moving = _moving(faulty)
        now = time.monotonic()
        still_since = None if moving else (still_since or now)
        if still_since is not None and now - still_since >= STILL_SECONDS:
            return
        assert now < until, f"not at rest after {seconds:.0f} s: {moving}"
        time.sleep(0.2)
