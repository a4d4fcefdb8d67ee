"""The keyring as its own process on a real platform: Kafka in, Kafka out, HTTP; killed and started again (R3)."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiokafka
import httpx
import pytest

from deploy.local import stack
from schemas.envelope import Envelope, read_envelope
from schemas.erasure import GroundEnded, KeysDestroyed
from schemas.privacy import Event, Purpose
from schemas.topics import COMMANDS, HOLDS, RECEIPTS
from services.kernel.broker.partition import partition_of
from services.kernel.errors import KeyringUnavailable
from services.kernel.sealing.interface import Refused
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import DataKey, Erased, KeyRef
from services.kernel.sealing.lease import Want
from services.kernel.sealing.place import place
from tests.fixtures.keyring import SHOP, confirmed, destroy, new_id, new_ref, released
from tests.fixtures.platform import temporary_state

WAIT_SECONDS = 40
pytestmark = pytest.mark.slow


class World:
    """A platform whose only worker is the keyring; the test plays everybody else."""

    def __init__(self, running: stack.Stack) -> None:
        self.stack = running
        login = running.credentials("admin")
        self._login = {
            "bootstrap_servers": running.kafka, "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": login.username,
            "sasl_plain_password": login.password.get_secret_value(),
        }  # fmt: skip

    async def __aenter__(self) -> "World":
        self.producer = aiokafka.AIOKafkaProducer(**self._login)
        self.receipts = aiokafka.AIOKafkaConsumer(
            RECEIPTS.name, auto_offset_reset="latest", isolation_level="read_committed", **self._login
        )
        await self.producer.start()
        await self.receipts.start()
        await self.receipts.seek_to_end()
        for partition in self.receipts.assignment():
            await self.receipts.position(partition)
        self.gateway, self.carriers = self.client("gateway"), self.client("carriers")
        return self

    async def __aexit__(self, *_: object) -> None:
        for part in (self.producer.stop, self.receipts.stop, self.gateway.close, self.carriers.close):
            await part()

    def client(self, principal: str) -> HttpKeyring:
        return HttpKeyring(self.stack.keyring_url, self.stack.keyring_token(principal))

    def raw(self, principal: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.stack.keyring_token(principal).get_secret_value()}"}
        return httpx.AsyncClient(base_url=self.stack.keyring_url, headers=headers)

    async def tell(self, topic: str, subject: str, event: Event) -> None:
        envelope = Envelope(str(uuid.uuid4()), event.type, "/test", subject=subject)
        await self.producer.send_and_wait(
            topic, event.model_dump_json().encode(), key=subject.encode(), headers=envelope.headers(),
            partition=partition_of(subject.encode(), HOLDS.partitions),
        )  # fmt: skip

    async def receipt(self, subject: str) -> KeysDestroyed | GroundEnded:
        async with asyncio.timeout(WAIT_SECONDS):
            async for record in self.receipts:
                if record.key == subject.encode():
                    return _event(record)
        raise AssertionError("the log has no end")

    async def minted(self, ref: KeyRef) -> DataKey:
        key = (await self.gateway.mint(SHOP, [ref])).keys[0]
        assert isinstance(key, DataKey)
        return key

    async def open(self, want: Want) -> bytes | Erased:
        async with self.carriers.lease(Purpose.DELIVERY, [want]) as lease:
            return lease.unseal(want)

    def restart(self) -> None:
        stack.start(self.stack.state, only=("keyring",))


def _event(record: Any) -> KeysDestroyed | GroundEnded:
    kind = read_envelope(record.headers).type
    return next(
        each.model_validate_json(record.value) for each in (KeysDestroyed, GroundEnded) if each.type == kind
    )


@pytest.fixture(scope="module")
def running() -> Iterator[stack.Stack]:
    """A platform of its own: the shared one's erasure worker never asked for these destructions."""
    with temporary_state() as state:
        yield stack.start(state, only=("keyring",))


@pytest.fixture
async def world(running: stack.Stack) -> AsyncIterator[World]:
    async with World(running) as world:
        yield world


def sealed(key: DataKey, ref: KeyRef) -> Want:
    where = place("orders", ref.scope, "ship_to")
    return Want(seal(key, where, b'"somewhere"'), where, ref)


async def test_an_order_is_held_released_and_dies(world: World) -> None:
    ref, request = new_ref(), new_id()
    want = sealed(await world.minted(ref), ref)
    await world.tell(HOLDS.name, ref.subject, confirmed(ref))
    await _until_held(world, ref)
    await world.tell(COMMANDS.name, ref.subject, destroy(request))
    receipt = await world.receipt(ref.subject)
    assert isinstance(receipt, KeysDestroyed)
    assert [(held.scope, held.ground) for held in receipt.held] == [(ref.scope, "open-order")]
    assert await world.open(want) == b'"somewhere"'
    await world.tell(HOLDS.name, ref.subject, released(ref))
    assert isinstance(await world.receipt(ref.subject), GroundEnded)
    assert isinstance(await world.open(want), Erased)
    assert (await world.gateway.mint(SHOP, [ref])).keys == (Refused.SUBJECT_ERASED,)


async def _until_held(world: World, ref: KeyRef) -> None:
    async with asyncio.timeout(WAIT_SECONDS), world.raw("operator") as http:
        while True:
            pairs = (await http.get(f"/v1/subjects/{ref.subject}")).json()["pairs"]
            if [pair["ground"] for pair in pairs] == ["open-order"]:
                return
            await asyncio.sleep(0.1)


async def test_no_key_is_handed_out_before_what_happened_meanwhile_is_known(world: World) -> None:
    """The keyring is killed, the erasure arrives while it is away; from its first answer on the person is erased."""
    ref = new_ref()
    want = sealed(await world.minted(ref), ref)
    await world.tell(HOLDS.name, ref.subject, confirmed(ref, 1))
    await world.tell(HOLDS.name, ref.subject, released(ref, 2))
    world.stack.kill("keyring-1")
    with pytest.raises(KeyringUnavailable):
        await world.minted(ref)
    await world.tell(COMMANDS.name, ref.subject, destroy())
    answers: list[object] = []
    asking = asyncio.create_task(_ask_on_and_on(world, ref, answers))
    await asyncio.to_thread(world.restart)
    receipt = await world.receipt(ref.subject)
    asking.cancel()
    assert not isinstance(receipt, GroundEnded)
    assert receipt.destroyed == 1
    assert isinstance(await world.open(want), Erased)
    assert not [answer for answer in answers if isinstance(answer, DataKey)]


async def _ask_on_and_on(world: World, ref: KeyRef, answers: list[object]) -> None:
    while True:
        with contextlib.suppress(KeyringUnavailable):
            answers += (await world.gateway.mint(SHOP, [ref])).keys
        await asyncio.sleep(0.02)


async def test_every_command_is_carried_out_once_through_kills(world: World) -> None:
    """One receipt per command, whatever dies in between; keys minted and answered are never lost."""
    people = [new_ref() for _ in range(60)]
    wants = []
    for ref in people:
        wants.append(sealed(await world.minted(ref), ref))
        await world.tell(HOLDS.name, ref.subject, confirmed(ref, 1))
        await world.tell(HOLDS.name, ref.subject, released(ref, 2))
    receipts: dict[str, int] = {}
    reading = asyncio.create_task(_count_receipts(world, receipts))
    for number, ref in enumerate(people[:40]):
        await world.tell(COMMANDS.name, ref.subject, destroy())
        if number in (10, 25):
            world.stack.kill("keyring-1")
            await asyncio.to_thread(world.restart)
    deadline = time.monotonic() + WAIT_SECONDS
    while len(receipts) < 40 and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    reading.cancel()
    assert {receipts.get(ref.subject) for ref in people[:40]} == {1}
    opened = [await world.open(want) for want in wants]
    assert all(isinstance(each, Erased) for each in opened[:40])
    assert opened[40:] == [b'"somewhere"'] * 20


async def _count_receipts(world: World, receipts: dict[str, int]) -> None:
    async for record in world.receipts:
        subject = (record.key or b"").decode()
        receipts[subject] = receipts.get(subject, 0) + 1


async def test_a_second_instance_shares_the_work_and_the_secrets_stay_put(world: World) -> None:
    world.stack.add("keyring")
    refs = [new_ref() for _ in range(5)]
    for ref in refs:
        want = sealed(await world.minted(ref), ref)
        assert await world.open(want) == b'"somewhere"'
    modes = {path.stat().st_mode & 0o777 for path in world.stack.layout.root.glob("keks/*")}
    assert modes == {0o600}
    world.stack.stop_worker("keyring-2")


async def test_logs_hold_neither_keys_nor_people(world: World) -> None:
    ref = new_ref()
    key = await world.minted(ref)
    log = "".join(path.read_text() for path in world.stack.layout.root.glob("logs/keyring-*.log"))
    assert "replayed" in log
    for secret in (
        ref.subject,
        ref.scope,
        key.kid,
        key.text(),
        world.stack.keyring_token("gateway").get_secret_value(),
    ):
        assert secret not in log
