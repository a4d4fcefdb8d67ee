"""One suite for the rows of the orders worker: the twin in memory and PostgreSQL keep the same promises."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.deliveries import TrackingStatus
from schemas.erasure import Held
from schemas.holds import Ground
from schemas.privacy import Category, Sealed
from services.kernel.errors import StoreRejected
from services.kernel.fanout.rights import Erasing
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from services.orders.app import MIGRATIONS
from services.orders.domain import Order, Stage
from services.orders.rights import OrderRights
from services.orders.settings import Settings
from services.orders.store import MemoryOrders, PostgresOrders
from tests.fixtures.database import settings_at

SUBJECT, STRANGER = "a" * 32, "b" * 32
OPEN, PAST = "1" * 32, "2" * 32
TAX_DAY = datetime(2037, 1, 1, tzinfo=UTC)


def sealed(text):
    return Sealed(f"aGVhZGVy..{'n' * 16}.{text}.{'t' * 22}")


def order(order_id=OPEN, subject=SUBJECT, stage=Stage.PAID, revision=2):
    return Order(
        order_id, subject, stage, revision, "swift", sealed("basket"), sealed("address"), sealed("invoice"),
        TrackingStatus.IN_TRANSIT,
    )  # fmt: skip


def key(each):
    return f"{each.subject}/{each.id}"


@pytest.fixture(params=["memory", "postgres"])
async def rows(request):
    """A storage and the orders in it."""
    if request.param == "memory":
        storage, orders = MemoryStorage(), MemoryOrders()
    else:
        storage, orders = postgres(request.getfixturevalue("platform").new_database()), PostgresOrders()
    await storage.start()
    yield storage, orders
    await storage.stop()


def postgres(dsn):
    return PostgresStorage(settings_at(dsn, Settings), [MIGRATIONS])


async def save(rows, *orders):
    storage, store = rows
    async with storage.transaction("0") as tx:
        await store.save(tx, {key(each): each for each in orders})


async def load(rows, *keys):
    storage, store = rows
    async with storage.transaction("0") as tx:
        return await store.load(tx, list(keys))


async def erase(rows, *but, subject=SUBJECT):
    storage, store = rows
    async with storage.transaction("0") as tx:
        return await OrderRights(store).erase(tx, Erasing("f" * 32, subject, but, tx.at))


def held(scope, category, ground=Ground.OPEN_ORDER, until=None):
    return Held(scope=scope, category=category, ground=ground, until=until)


async def test_what_was_saved_is_loaded_again(rows):
    bare = Order("3" * 32, SUBJECT, Stage.PLACED, 1, "swift", sealed("basket"), sealed("address"))
    await save(rows, order(), bare)
    assert await load(rows, key(order()), key(bare), f"{SUBJECT}/{'9' * 32}") == {
        key(order()): order(),
        key(bare): bare,
    }


async def test_a_later_save_moves_the_order_and_never_its_basket_or_address(rows):
    await save(rows, order())
    await erase(rows, held(OPEN, Category.ACCOUNTING))
    await save(rows, order(stage=Stage.DELIVERED, revision=3))
    found = (await load(rows, key(order())))[key(order())]
    assert (found.stage, found.revision, found.basket, found.ship_to) == (Stage.DELIVERED, 3, None, None)


async def test_another_persons_order_id_is_found_and_not_overwritten(rows):
    await save(rows, order())
    foreign = order(subject=STRANGER)
    assert (await load(rows, key(foreign)))[key(foreign)].subject == SUBJECT
    with pytest.raises(StoreRejected):
        await save(rows, foreign)
    assert (await load(rows, key(order())))[key(order())] == order()


async def test_two_people_with_one_order_id_in_one_batch_are_refused(rows):
    with pytest.raises(StoreRejected):
        await save(rows, order(), order(subject=STRANGER))
    assert await load(rows, key(order())) == {}


async def test_orders_without_a_ground_are_deleted_and_other_people_untouched(rows):
    strangers = order("4" * 32, STRANGER)
    await save(rows, order(OPEN), order(PAST), strangers)
    outcome = await erase(rows)
    assert (outcome.erased, outcome.anonymised, outcome.retained) == (2, 0, ())
    assert await load(rows, key(order(OPEN)), key(order(PAST)), key(strangers)) == {key(strangers): strangers}


async def test_only_what_is_held_stays_in_a_row(rows):
    invoice = held(PAST, Category.ACCOUNTING, Ground.STATUTORY, TAX_DAY)
    await save(rows, order(PAST, stage=Stage.CLOSED, revision=4))
    outcome = await erase(rows, invoice)
    assert (outcome.erased, outcome.anonymised, outcome.retained) == (0, 1, (invoice,))
    (kept,) = (await load(rows, key(order(PAST)))).values()
    assert kept == replace(order(PAST, stage=Stage.CLOSED, revision=4), basket=None, ship_to=None)


async def test_an_open_order_keeps_its_parts_and_names_only_what_it_has(rows):
    grounds = [
        held(OPEN, category) for category in (Category.TRANSACTION, Category.LOGISTICS, Category.ACCOUNTING)
    ]
    placed = replace(order(stage=Stage.PLACED, revision=1), invoice=None)
    await save(rows, placed)
    outcome = await erase(rows, *grounds)
    assert (outcome.erased, outcome.anonymised) == (0, 0)
    assert {each.category for each in outcome.retained} == {Category.TRANSACTION, Category.LOGISTICS}
    assert await load(rows, key(placed)) == {key(placed): placed}


async def test_the_round_after_a_ground_ended_takes_the_rest_and_a_repeat_takes_nothing(rows):
    await save(rows, order())
    first = await erase(rows, held(OPEN, Category.ACCOUNTING))
    second = await erase(rows)
    third = await erase(rows)
    assert [(each.erased, each.anonymised) for each in (first, second, third)] == [(0, 1), (1, 0), (0, 0)]
