"""What brings a process to the steps that orders and erasures never reach, and whether that came to its end."""

import contextlib
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx
from confluent_kafka import Producer

from deploy.local import stack as platforms
from schemas.clicks import Kind
from schemas.envelope import Envelope
from tests.faults.crash_visits import Visits
from tests.faults.faulty import Faulty
from tests.fixtures import clicks, evidence
from tests.fixtures.carrier import Carrier
from tests.fixtures.clicks import Door
from tests.fixtures.evidence import await_
from tests.fixtures.shop import cancelled, new_id, paid, placed


class Drive(Protocol):
    """One occasion; may be called while any process is down."""

    def prepare(self) -> None:
        """Do what must lie there before anybody is armed."""

    def provoke(self) -> None:
        """Bring the armed process to its step."""

    def again(self) -> None:
        """Say again what the keyring has forgotten, because it has died."""

    def check(self) -> None:
        """Fail where what was begun has not come to its end."""


class Usual:
    """Orders, reports and erasures are enough."""

    def __init__(self, faulty: Faulty) -> None:
        self.faulty = faulty

    def prepare(self) -> None:
        return

    def provoke(self) -> None:
        return

    def again(self) -> None:
        return

    def check(self) -> None:
        return


class Rotation(Usual):
    """The operator has every KEK version replaced."""

    def prepare(self) -> None:
        self._before = self._primaries()

    def provoke(self) -> None:
        await_("the keyring takes the order to rotate", self._asked)

    def again(self) -> None:
        """What was not answered may not have begun: who sees no new version asks again."""
        self.provoke()

    def check(self) -> None:
        """The old versions are gone, row and file; nothing is left half-way (T4)."""
        until_whole = await_("the rotation has ended or was never begun", self._settled)
        if until_whole == self._before:
            self.again()
            await_("the rotation has ended", lambda: self._settled() not in (None, self._before))
        after = self._primaries()
        assert all(after[category] > version for category, version in self._before.items())
        files = {path.stem for path in self.faulty.stack.layout.keks.glob("*.kek")}
        gone = {_file(kek) for kek in self._keks() if kek["state"] == "destroyed"}
        assert not files & gone
        assert {_file(kek) for kek in self._keks() if kek["state"] == "primary"} <= files

    def _settled(self) -> Mapping[str, int] | None:
        """Return the primaries once each category has one version that lives, None before."""
        try:
            living = [kek for kek in self._keks() if kek["state"] != "destroyed"]
        except httpx.HTTPError:
            return None
        if any(kek["state"] != "primary" for kek in living):
            return None
        found = {kek["category"]: kek["version"] for kek in living}
        # Categories follow each other; between two of them it looks as if it were over.
        begun = [category for category, version in found.items() if version > self._before[category]]
        return found if len(begun) in (0, len(found)) else None

    def _primaries(self) -> dict[str, int]:
        return {kek["category"]: kek["version"] for kek in self._keks() if kek["state"] == "primary"}

    def _keks(self) -> list[dict[str, Any]]:
        answer = self._call("GET", "/v1/keks")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["keks"]
        return found

    def _asked(self) -> bool:
        try:
            return self._call("POST", "/v1/keks/rotations").is_success
        except httpx.HTTPError:
            return False

    def _call(self, method: str, path: str) -> httpx.Response:
        stack = self.faulty.stack
        token = stack.keyring_token("operator").get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        body = {} if method == "POST" else None
        return httpx.request(method, stack.keyring_url + path, headers=headers, json=body, timeout=10)


class NewCarrier(Usual):
    """A carrier is admitted while everything runs: its topics become lanes that nobody has read."""

    def provoke(self) -> None:
        faulty = self.faulty
        self._carrier = Carrier.sign(faulty.stack, faulty.folder, f"new-{secrets.token_hex(3)}")

    def check(self) -> None:
        """Its first order meets its fate."""
        subject, order = new_id(), new_id()
        self._carrier.start()
        try:
            self.faulty.shop.say(placed(subject, order, self._carrier.name))
            self.faulty.shop.say(paid(subject, order))
            sql = "SELECT 1 FROM {schema}.shipment WHERE order_id = $1 AND stage = 'forgotten'"
            await_(
                "the new carrier delivers and forgets",
                lambda: evidence.of_worker(self.faulty.stack, "carriers", sql, order),
                120,
            )
        finally:
            self._carrier.stop()


class Expiry(Usual):
    """A payment that belongs to no order has left keys whose time is over."""

    def prepare(self) -> None:
        self._subject = new_id()
        self.faulty.shop.say(paid(self._subject, new_id()))
        sql = "UPDATE {schema}.pair SET held_until = now() - interval '1 hour' WHERE subject = $1 RETURNING 1"
        assert evidence.of_worker(self.faulty.stack, "keyring", sql, self._subject)

    def check(self) -> None:
        """The keys are dead, and nothing holds them."""
        await_("expired", self._expired)

    def _expired(self) -> bool:
        stack = self.faulty.stack
        pairs = "SELECT 1 FROM {schema}.pair WHERE subject = $1"
        keys = "SELECT wrapped FROM {schema}.data_key WHERE subject = $1"
        left = evidence.of_worker(stack, "keyring", pairs, self._subject)
        found = [row["wrapped"] for row in evidence.of_worker(stack, "keyring", keys, self._subject)]
        return not left and found == [None]


class Adoption(Usual):
    """The keyring hears of a hold before anybody mints for that person, as it does after a restore."""

    def prepare(self) -> None:
        self._subject, self._order, self._held = new_id(), new_id(), new_id()

    def provoke(self) -> None:
        hold = {"category": "transaction", "ground": "open-order"}
        self._say("confirmed", revision=1, holds=[hold])
        await_("the hold is known", lambda: self._storefronts() == [None])
        shop = self.faulty.shop
        shop.say(placed(self._subject, self._order, self.faulty.carriers[0].name))
        shop.say(cancelled(self._subject, self._order))
        self._say("released", revision=2, categories=["transaction"])

    def check(self) -> None:
        """The person belongs to the shop, and its order came through."""
        assert self._storefronts() == [self.faulty.shop.name]
        sql = "SELECT stage FROM {schema}.orders WHERE order_id = $1"
        await_(
            "the order is cancelled",
            lambda: (
                [row["stage"] for row in evidence.of_worker(self.faulty.stack, "orders", sql, self._order)]
                == ["cancelled"]
            ),
        )

    def _storefronts(self) -> list[str | None]:
        sql = "SELECT storefront FROM {schema}.subject WHERE id = $1"
        return [row[0] for row in evidence.of_worker(self.faulty.stack, "keyring", sql, self._subject)]

    def _say(self, what: str, **facts: Any) -> None:
        """Write a hold as the orders worker would, for an order that it never saw."""
        producer = Producer(
            {**self.faulty.stack.kafka_settings("admin"), "partitioner": "murmur2_random", "log_level": 0}
        )
        kind = f"lethe.hold.{what}.v1"
        envelope = Envelope(
            id=str(uuid.uuid4()), type=kind, source="/workers/orders", subject=self._subject, policy="1"
        )
        value = json.dumps({"order": self._held, **facts}).encode()
        producer.produce("holds", value, self._subject.encode(), headers=envelope.headers())
        assert producer.flush(30) == 0


class Clicks(Usual):
    """Visitors of shop after shop, each closed before its time: counted, cut off, opened, swept, published, summed."""

    SHOPS, SECONDS = 12, 75.0

    def prepare(self) -> None:
        platforms.start(self.faulty.state, only=("clickstream",))
        self._door, self._shops = Door(), [f"shop-{secrets.token_hex(4)}" for _ in range(self.SHOPS)]
        self._used: list[str] = []

    def provoke(self) -> None:
        stack, until = self.faulty.stack, time.monotonic() + self.SECONDS
        for shop in self._shops:
            if time.monotonic() > until:
                return
            self._used.append(shop)
            for portion in range(2):
                cells = [
                    self._door.cell(
                        shop, clicks.today(), kind, f"{kind} {number % 40}", f"v{number // 8 + portion}"
                    )
                    for kind in (Kind.PRODUCT, Kind.SEARCH)
                    for number in range(600)
                ]
                clicks.send(stack, self._door.records(shop, cells))
            await_("the shop is known", lambda shop=shop: clicks.is_open(stack, shop), 90)
            clicks.ask(stack, shop)
            # It may have died on the way: the next shop is for its next try.
            with contextlib.suppress(AssertionError):
                await_("the shop is published", lambda shop=shop: clicks.is_told(stack, shop), 6)

    def check(self) -> None:
        """What was published follows from the topic and the cuts, once each (C3)."""
        stack = self.faulty.stack
        for shop in self._used:
            await_(f"{shop} is published", lambda shop=shop: clicks.is_told(stack, shop), 60)
        await_("everything is on Kafka", lambda: not evidence.of_worker(stack, "clickstream", _WAITING), 60)
        for shop in self._used:
            told, masses = clicks.said(stack, shop)
            assert told and (told, masses) == clicks.computed(stack, shop), "not what the topic says"
        stack.stop_worker("clickstream")


_WAITING = "SELECT 1 FROM {schema}.outbox"

DRIVES: Mapping[str, Callable[[Faulty], Drive]] = {
    "": Usual,
    "rotation": Rotation,
    "new-carrier": NewCarrier,
    "expiry": Expiry,
    "adoption": Adoption,
    "clicks": Clicks,
    "visits": Visits,
}


def _file(kek: Mapping[str, Any]) -> str:
    return f"{kek['category']}.{kek['version']}"
