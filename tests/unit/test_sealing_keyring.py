"""The client takes only the key it asked for, only while its lease lasts, and asks in batches (U1)."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from schemas.privacy import Category, Purpose
from services.kernel.errors import ConfigurationError, KeyringUnavailable, LeaseExpired, RejectedRecord
from services.kernel.sealing.batching import Batching
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import DataKey, Erased, KeyRef
from services.kernel.sealing.lease import LEASE_SECONDS, Want
from services.kernel.sealing.place import place

SUBJECT, ORDER, OTHER = "a" * 32, "b" * 32, "c" * 32
REF = KeyRef(SUBJECT, Category.LOGISTICS, ORDER)
WHERE = place("orders", ORDER, "ship_to")
TOKEN = SecretStr("not-a-real-token")


@dataclass
class StoppedClock:
    """Moves when told."""

    seconds: float = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Desk:
    """Answers as a keyring does, or as one that lies."""

    clock: StoppedClock = field(default_factory=StoppedClock)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    away: bool = False
    answer_takes_seconds: float = 0.0

    content: bytes | None = None
    """What every answer says instead."""
    observed: list[tuple[str, float]] = field(default_factory=list)

    def client(self) -> HttpKeyring:
        return HttpKeyring("", TOKEN, self.clock, wire=self, observe=self.observe)

    def observe(self, call: str, seconds: float) -> None:
        self.observed.append((call, seconds))

    async def post(self, path: str, content: bytes) -> tuple[int, bytes]:
        question = orjson.loads(content)
        assert path == ("/v1/open" if "kids" in question else "/v1/mint")
        self.asked.append(question)
        await asyncio.sleep(0.01)
        self.clock.seconds += self.answer_takes_seconds
        if self.away:
            raise KeyringUnavailable("keyring-unreachable")
        if self.status != 200:
            return self.status, b'{"error":"no"}'
        answer = self.open(question) if "kids" in question else self.mint(question)
        return 200, self.content if self.content is not None else orjson.dumps(answer)

    async def close(self) -> None:
        """Nothing to close."""

    def open(self, question: dict[str, Any]) -> dict[str, Any]:
        unknown = {"refused": "unknown"}
        return {"keys": [self.keys.get(kid, unknown) for kid in question["kids"]], "lease_seconds": 10}

    def mint(self, question: dict[str, Any]) -> dict[str, Any]:
        return {
            "keys": [self.minted(each) for each in question["keys"]],
            "subjects": ["active"] * len(question["subjects"]),
        }

    def minted(self, asked: dict[str, str]) -> dict[str, str]:
        if asked["subject"] == OTHER:
            return {"refused": "subject-erased"}
        key = DataKey.fresh()
        return {"kid": key.kid, "key": key.text()}

    def know(self, key: DataKey, ref: KeyRef) -> None:
        truth = {"kid": key.kid, "key": key.text(), "subject": ref.subject}
        self.keys[key.kid] = {**truth, "category": ref.category, "scope": ref.scope}


def sealed(desk: Desk, ref: KeyRef = REF) -> Want:
    key = DataKey.fresh()
    desk.know(key, ref)
    return Want(seal(key, WHERE, b'{"name":"Canary"}'), WHERE, REF)


async def test_a_leased_key_opens_its_value() -> None:
    desk = Desk()
    want = sealed(desk)
    async with desk.client().lease(Purpose.DELIVERY, [want]) as lease:
        assert lease.unseal(want) == b'{"name":"Canary"}'
    assert desk.asked[0]["purpose"] == "delivery"


@pytest.mark.parametrize(
    "other",
    [
        replace(REF, subject=OTHER),
        replace(REF, category=Category.TRANSACTION),
        replace(REF, scope=OTHER),
    ],
)
async def test_a_value_of_another_subject_category_or_scope_never_opens(other: KeyRef) -> None:
    """The value is genuine and the place is right: only the keyring knows that the key is somebody else's."""
    desk = Desk()
    want = sealed(desk, other)
    async with desk.client().lease(Purpose.DELIVERY, [want]) as lease:
        with pytest.raises(RejectedRecord, match="unsealing-failed"):
            lease.unseal(want)


async def test_one_bad_value_does_not_spoil_the_batch() -> None:
    desk = Desk()
    good, unknown = sealed(desk), sealed(Desk())
    broken = replace(good, token="nonsense")
    async with desk.client().lease(Purpose.DELIVERY, [broken, unknown, good]) as lease:
        for bad in (broken, unknown):
            with pytest.raises(RejectedRecord):
                lease.unseal(bad)
        assert lease.unseal(good)


async def test_an_erased_value_is_a_typed_answer() -> None:
    desk = Desk()
    want = sealed(desk)
    kid = next(iter(desk.keys))
    desk.keys[kid] = {"refused": "erased"}
    async with desk.client().lease(Purpose.DELIVERY, [want]) as lease:
        assert lease.unseal(want) == Erased(kid)


async def test_a_key_that_is_not_the_one_asked_for_is_refused() -> None:
    desk = Desk()
    want = sealed(desk)
    next(iter(desk.keys.values()))["key"] = DataKey.fresh().text()
    with pytest.raises(ConfigurationError, match="keyring-contract"):
        async with desk.client().lease(Purpose.DELIVERY, [want]):
            pass


async def test_a_lease_ends_ten_seconds_after_its_request_was_sent() -> None:
    desk = Desk(answer_takes_seconds=4.0)
    want = sealed(desk)
    with pytest.raises(LeaseExpired):
        async with desk.client().lease(Purpose.DELIVERY, [want]) as lease:
            desk.clock.seconds += LEASE_SECONDS - 4.0 - 0.01
            assert lease.unseal(want)
            desk.clock.seconds += 0.01
            lease.unseal(want)


async def test_a_batch_that_outlives_its_lease_fails_when_it_ends() -> None:
    desk = Desk()
    with pytest.raises(LeaseExpired):
        async with desk.client().lease(Purpose.DELIVERY, [sealed(desk)]):
            desk.clock.seconds += LEASE_SECONDS


async def test_keys_are_gone_when_the_batch_is_over() -> None:
    desk = Desk()
    want = sealed(desk)
    async with desk.client().lease(Purpose.DELIVERY, [want]) as lease:
        pass
    with pytest.raises(LeaseExpired):
        lease.unseal(want)


async def test_no_key_stays_in_memory_behind_its_batch() -> None:
    """Also when somebody keeps the lease: what it held is let go of, whether the batch ended well or not."""
    desk = Desk()
    want = sealed(desk)
    async with desk.client().lease(Purpose.DELIVERY, [want]) as ended_well:
        assert ended_well._answers
    with pytest.raises(RuntimeError):
        async with desk.client().lease(Purpose.DELIVERY, [want]) as ended_badly:
            raise RuntimeError
    assert not ended_well._answers and not ended_badly._answers


async def test_a_failing_batch_keeps_its_own_error() -> None:
    desk = Desk()
    with pytest.raises(RuntimeError, match="mine"):
        async with desk.client().lease(Purpose.DELIVERY, [sealed(desk)]):
            desk.clock.seconds += LEASE_SECONDS
            raise RuntimeError("mine")


async def test_nothing_to_open_asks_nobody() -> None:
    desk = Desk(status=503)
    async with desk.client().lease(Purpose.DELIVERY, []):
        pass
    assert not desk.asked


async def test_many_values_are_asked_for_in_parts() -> None:
    desk = Desk()
    wants = [sealed(desk) for _ in range(1001)]
    async with desk.client().lease(Purpose.DELIVERY, [*wants, *wants]) as lease:
        assert all(lease.unseal(want) for want in wants)
    assert [len(each["kids"]) for each in desk.asked] == [1000, 1]


async def test_concurrent_mints_of_one_process_travel_together() -> None:
    desk = Desk()
    client = desk.client()
    answers = await asyncio.gather(*(client.mint("shop", [REF], [SUBJECT]) for _ in range(50)))
    assert len(desk.asked) <= 2
    assert len({each.keys[0].kid for each in answers if isinstance(each.keys[0], DataKey)}) == 50
    assert all(each.subjects == (SubjectState.ACTIVE,) for each in answers)
    await client.close()


async def test_a_refusal_goes_to_whoever_asked() -> None:
    client = Desk().client()
    mine, theirs = await asyncio.gather(
        client.mint("shop", [REF]), client.mint("shop", [replace(REF, subject=OTHER)])
    )
    assert isinstance(mine.keys[0], DataKey)
    assert theirs.keys == (Refused.SUBJECT_ERASED,)


async def test_storefronts_are_asked_for_apart() -> None:
    desk = Desk()
    client = desk.client()
    await asyncio.gather(client.mint("shop", [REF]), client.mint("stall", [REF]))
    assert sorted(each["storefront"] for each in desk.asked) == ["shop", "stall"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (503, KeyringUnavailable),
        (500, KeyringUnavailable),
        (429, KeyringUnavailable),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (400, ConfigurationError),
    ],
)
async def test_a_keyring_that_does_not_serve_says_what_to_do_next(
    status: int, error: type[Exception]
) -> None:
    desk = Desk(status=status)
    with pytest.raises(error):
        await desk.client().mint("shop", [REF])
    with pytest.raises(error):
        async with desk.client().lease(Purpose.DELIVERY, [sealed(desk)]):
            pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":[],"subjects":[]}',
        b'{"keys":[{"kid":1}],"subjects":[],"lease_seconds":"x"}',
    ],
)
async def test_an_answer_that_no_keyring_gives_is_refused_without_quoting_it(content: bytes) -> None:
    client = Desk(content=content).client()
    with pytest.raises(ConfigurationError, match="keyring-contract") as caught:
        await client.mint("shop", [REF])
    assert caught.value.__cause__ is None
    with pytest.raises(ConfigurationError, match="keyring-contract"):
        async with client.lease(Purpose.DELIVERY, [sealed(Desk())]):
            pass


async def test_who_asks_for_nothing_learns_whether_the_keyring_serves() -> None:
    desk = Desk()
    assert (await desk.client().mint("shop", ())).keys == ()
    assert desk.asked == [{"storefront": "shop", "keys": [], "subjects": []}]
    with pytest.raises(KeyringUnavailable):
        await Desk(status=503).client().mint("shop", ())


async def test_every_call_tells_how_long_it_took_answered_or_not() -> None:
    desk = Desk(answer_takes_seconds=2.0)
    await desk.client().mint("shop", [REF])
    async with desk.client().lease(Purpose.DELIVERY, [sealed(desk)]):
        pass
    desk.away = True
    with pytest.raises(KeyringUnavailable):
        await desk.client().mint("shop", [REF])
    assert desk.observed == [("mint", 2.0), ("open", 2.0), ("mint", 2.0)]


class Calls:
    """A slow far end that doubles numbers."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.fail = False

    async def __call__(self, items: Any) -> list[int]:
        self.sizes.append(len(items))
        await asyncio.sleep(0.01)
        if self.fail:
            raise KeyringUnavailable("away")
        return [item * 2 for item in items]


async def test_what_is_asked_during_a_call_travels_in_the_next_one() -> None:
    calls = Calls()
    batching = Batching[int, int](calls, most=100)
    first = asyncio.create_task(batching.ask([1]))
    await asyncio.sleep(0.005)
    rest = await asyncio.gather(*(batching.ask([number, number + 1]) for number in range(10)))
    assert await first == [2]
    assert rest == [[2 * number, 2 * number + 2] for number in range(10)]
    assert calls.sizes == [1, 20]


async def test_no_call_is_larger_than_allowed() -> None:
    calls = Calls()
    batching = Batching[int, int](calls, most=10)
    answers = await asyncio.gather(batching.ask(range(25)), batching.ask([100]))
    assert answers == [[2 * number for number in range(25)], [200]]
    assert calls.sizes == [10, 10, 6]


async def test_a_failed_call_fails_its_askers_and_nobody_else() -> None:
    calls = Calls()
    batching = Batching[int, int](calls, most=10)
    calls.fail = True
    with pytest.raises(KeyringUnavailable):
        await batching.ask([1])
    calls.fail = False
    assert await batching.ask([1]) == [2]


async def test_an_asker_who_gave_up_harms_nobody() -> None:
    calls = Calls()
    batching = Batching[int, int](calls, most=10)
    impatient = asyncio.create_task(batching.ask([1]))
    patient = asyncio.create_task(batching.ask([2]))
    await asyncio.sleep(0.005)
    impatient.cancel()
    assert await patient == [4]


async def test_closing_cancels_who_waits() -> None:
    batching = Batching[int, int](Calls(), most=10)
    waiting = asyncio.create_task(batching.ask([1]))
    await asyncio.sleep(0.005)
    await batching.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
