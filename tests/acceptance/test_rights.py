"""Purpose limitation is arithmetic: with real data everywhere, everybody tries to read everything."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from deploy.local.stack import Stack
from deploy.settings import PROCESSES, process_of
from schemas.privacy import Category, Purpose
from schemas.topics import MINTS, OPENS, OPERATOR, TOPICS, WORKERS
from services.kernel.sealing.jwe import kid_of
from tests.fixtures import evidence
from tests.fixtures.carrier import Carrier
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe
from tests.fixtures.platform import Platform
from tests.fixtures.shop import Shop, new_id, paid, placed

PARTNERS = ("north", "north-east")
"""One name begins with the other: a right given by prefix would be too much."""


@dataclass
class Scene:
    """A platform on which everything holds something, and two carriers."""

    stack: Stack
    shop: Shop
    carriers: dict[str, Carrier]
    kids: dict[Category, str]
    """One living key of each category that an order has."""
    folder: Path


@pytest.fixture(scope="module")
def scene(whole_platform: Platform, folder: Path) -> Iterator[Scene]:
    stack = whole_platform.stack
    shop = Shop.open(stack, folder)
    carriers = {name: Carrier.sign(stack, folder, name).start() for name in PARTNERS}
    orders = {name: (new_id(), new_id()) for name in PARTNERS}
    for name, (subject, order) in orders.items():
        shop.say(placed(subject, order, name))
        shop.say(paid(subject, order))
    await_("labels", lambda: all(len(each.revoked) for each in carriers.values()))
    shop.erase(orders["north-east"][0])
    yield Scene(stack, shop, carriers, _kids(stack, orders["north"][1]), folder)
    for carrier in carriers.values():
        carrier.stop()


def _kids(stack: Stack, order: str) -> dict[Category, str]:
    sql = "SELECT basket, ship_to, invoice FROM {schema}.orders WHERE order_id = $1"
    (row,) = evidence.of_worker(stack, "orders", sql, order)
    kinds = {"basket": Category.TRANSACTION, "ship_to": Category.LOGISTICS, "invoice": Category.ACCOUNTING}
    return {kind: kid_of(row[name]) for name, kind in kinds.items()}


def readable(settings: dict[str, str], group: str, topics: list[str]) -> set[str]:
    """Return the topics of which this login gets records, or at least is told where they end."""
    found: set[str] = set()
    for topic in topics:
        consumer = Consumer({**settings, "group.id": group, "enable.partition.eof": True, "log_level": 0})
        known = consumer.list_topics(topic, timeout=20).topics[topic]
        if known.error is None:
            consumer.assign([TopicPartition(topic, number, 0) for number in known.partitions])
            answer = await_("an answer", lambda each=consumer: each.poll(0.5), 20)
            if answer.error() is None or answer.error().code() == KafkaError._PARTITION_EOF:
                found.add(topic)
        consumer.close()
    return found


@pytest.mark.parametrize("principal", [*WORKERS, *(f"partner.{name}" for name in PARTNERS), OPERATOR])
def test_nobody_reads_a_topic_that_is_not_its_own(scene: Scene, principal: str) -> None:
    """Every principal tries every topic, other partners' included, with a real client (T2, D1, D2)."""
    theirs = {topic.name for topic in TOPICS if principal in topic.readers}
    partner = principal.removeprefix("partner.")
    if partner in scene.carriers:
        theirs = {scene.carriers[partner].shipments}
    if principal == "carriers":
        theirs |= {carrier.updates for carrier in scene.carriers.values()}
        # What it wrote, and cannot open: after a restore it looks up what a partner was told already.
        theirs |= {carrier.shipments for carrier in scene.carriers.values()}
    every = [topic.name for topic in TOPICS]
    every += [name for each in scene.carriers.values() for name in (each.shipments, each.updates)]
    if principal == OPERATOR:
        theirs = set(every)
    assert readable(scene.stack.kafka_settings(principal), principal, every) == theirs


@pytest.mark.parametrize("name", PARTNERS)
def test_a_partner_cannot_use_anothers_group(scene: Scene, name: str) -> None:
    """Whoever commits in another's group would make it miss its parcels (D2)."""
    other = next(each for each in PARTNERS if each != name)
    login = scene.carriers[name].login
    consumer = Consumer({**login, "group.id": f"partner.{other}.desk", "log_level": 0})
    consumer.subscribe([scene.carriers[name].shipments])
    answer = await_("an answer", lambda: consumer.poll(0.5), 30)
    consumer.close()
    assert answer.error() and answer.error().code() == KafkaError.GROUP_AUTHORIZATION_FAILED


@pytest.mark.parametrize("worker", WORKERS)
async def test_no_role_reads_anothers_schema(scene: Scene, worker: str) -> None:
    """Every table of every worker, tried by every worker's role, each in its own database (T2)."""
    process = process_of(worker)
    neighbours = [each for each in PROCESSES if each.database == process.database]
    connection = await asyncpg.connect(scene.stack.dsn(worker))
    try:
        for neighbour in neighbours:
            admin = scene.stack.admin_dsn(process.cluster, process.database)
            tables = await _tables(admin, neighbour.principal)
            assert tables or not neighbour.runs_loop
            read = [table for table in tables if await _reads(connection, neighbour.principal, table)]
            assert read == (tables if neighbour is process else [])
    finally:
        await connection.close()


async def _tables(dsn: str, schema: str) -> list[str]:
    admin = await asyncpg.connect(dsn)
    try:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1"
        return [row[0] for row in await admin.fetch(sql, schema)]
    finally:
        await admin.close()


async def _reads(connection: asyncpg.Connection, schema: str, table: str) -> bool:
    try:
        await connection.fetch(f'SELECT * FROM "{schema}"."{table}" LIMIT 1')
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


@pytest.mark.parametrize(("worker", "purpose"), list(itertools.product(WORKERS, Purpose)))
def test_no_worker_opens_a_category_without_right(scene: Scene, worker: str, purpose: Purpose) -> None:
    """Every worker's token, every purpose, every category: only what the matrix says is handed out (U1, T2)."""
    answer = ask_keyring(scene.stack, worker, "/v1/open", purpose=purpose, kids=list(scene.kids.values()))
    allowed = {kind for kind, why in OPENS.get(worker, {}).items() if why is purpose}
    if answer.status_code != 200:
        assert answer.status_code == 403 and not allowed
        return
    keys = dict(zip(scene.kids, answer.json()["keys"], strict=True))
    assert {kind for kind, key in keys.items() if "key" in key} == allowed
    assert {key["refused"] for kind, key in keys.items() if kind not in allowed} <= {"category-forbidden"}


@pytest.mark.parametrize("worker", WORKERS)
def test_only_who_writes_may_mint(scene: Scene, worker: str) -> None:
    """Who mints may not open, who opens may not mint (U1)."""
    keys = [{"subject": new_id(), "category": each, "scope": new_id()} for each in MINTS["gateway"]]
    answer = ask_keyring(scene.stack, worker, "/v1/mint", storefront=scene.shop.name, keys=keys, subjects=[])
    minted = answer.status_code == 200 and all("key" in each for each in answer.json()["keys"])
    assert minted == (worker in MINTS)
    if not minted and answer.status_code == 200:
        assert {each["refused"] for each in answer.json()["keys"]} == {"category-forbidden"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic wrong"}])
def test_a_wrong_token_opens_nothing(scene: Scene, headers: dict[str, str]) -> None:
    """Neither at the keyring nor at the gateway; both say 401 and no more."""
    body = {"purpose": "delivery", "kids": list(scene.kids.values())}
    keyring = httpx.post(f"{scene.stack.keyring_url}/v1/open", json=body, headers=headers)
    gateway = httpx.post(f"{scene.stack.gateway_url}/v1/events", json=[], headers=headers)
    assert (keyring.status_code, gateway.status_code) == (401, 401)


def test_a_revoked_storefront_is_refused_within_seconds(scene: Scene) -> None:
    """Until it is let in again under a new token; its customers are still its own (T2)."""
    shop = Shop.open(scene.stack, scene.folder)
    subject = new_id()
    shop.say(placed(subject, new_id(), "north"))
    lethe(scene.stack.state, "storefronts", "revoke", shop.name)
    await_("refused", lambda: shop.send([placed(subject, new_id(), "north")]) == [401], 6)
    again = Shop.open(scene.stack, scene.folder, shop.name)
    again.say(placed(subject, new_id(), "north"))
    assert shop.send([placed(subject, new_id(), "north")]) == [401]


def test_a_storefront_touches_only_its_own_people(scene: Scene) -> None:
    """It can neither order for, nor erase, nor ask about another storefront's customers (R3, T2)."""
    mine, theirs = Shop.open(scene.stack, scene.folder), scene.shop
    subject = new_id()
    theirs.say(placed(subject, new_id(), "north"))
    assert mine.send([placed(subject, new_id(), "north"), paid(subject, new_id())]) == [403, 403]
    assert mine.post("/v1/erasures", {"subject": subject}).status_code == 403
    request = theirs.erase(subject)
    assert mine.get(f"/v1/erasures/{request}").status_code == 404
    assert theirs.erasure(request)["id"] == request


def ask_keyring(stack: Stack, principal: str, path: str, **question: object) -> httpx.Response:
    """Ask the keyring something with a principal's own token."""
    token = stack.keyring_token(principal).get_secret_value()
    return httpx.post(stack.keyring_url + path, json=question, headers={"Authorization": f"Bearer {token}"})
