"""One suite for the rows of dispatch: the twin in memory and PostgreSQL keep the same promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas.erasure import Held, PartnerCopy
from schemas.holds import Ground
from schemas.partners import RevocationReason
from schemas.privacy import Category, Sealed
from schemas.shipments import Service
from services.dispatch.agreements import Agreement
from services.dispatch.app import MIGRATIONS
from services.dispatch.domain import Copy, Partner, Shipment, Stage, Terms
from services.dispatch.events import AcknowledgementMissed, AgreementEnded, ShipmentRetried
from services.dispatch.metering import Watch
from services.dispatch.partners import Partners
from services.dispatch.rights import DispatchRights
from services.dispatch.settings import Settings
from services.dispatch.store import MemoryShipments, PostgresShipments
from services.kernel.errors import StoreRejected
from services.kernel.fanout.rights import Erasing
from services.kernel.storage.interface import TimerRow
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import PostgresStorage
from services.kernel.telemetry import metrics
from tests.fixtures.database import settings_at

ANNA, BEN, REQUEST = "a" * 32, "b" * 32, "e" * 32
HOUR = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = Terms(timedelta(seconds=30), 7 * DAY, 2 * DAY)
ADDRESS = Sealed(f"aGVhZGVy..{'n' * 16}.address.{'t' * 22}")
KEY = '{"kid": "k"}'


def shipment(number, stage=Stage.OFFERED, subject=ANNA, **more):
    """Return a shipment as it looks in a stage."""
    looks = {
        Stage.HELD: {"code": "agreement-missing", "ship_to": ADDRESS},
        Stage.OFFERED: {"reference": f"{number + 0xF00:032x}", "log_clear_at": HOUR},
        Stage.REVOKED: {
            "reference": f"{number + 0xF00:032x}", "log_clear_at": HOUR, "due_at": HOUR + DAY,
            "reason": RevocationReason.COMPLETED,
        },
        Stage.FORGOTTEN: {"reference": f"{number + 0xF00:032x}", "reason": RevocationReason.COMPLETED},
        Stage.DROPPED: {},
    }[stage]  # fmt: skip
    return Shipment(f"{number:032x}", subject, "swift", stage, Service.STANDARD, **looks | more)


@pytest.fixture(params=["memory", "postgres"])
async def rows(request):
    """A storage and the shipments in it."""
    if request.param == "memory":
        storage, store = MemoryStorage(), MemoryShipments()
    else:
        storage, store = postgres(request.getfixturevalue("platform").new_database()), PostgresShipments()
    await storage.start()
    yield storage, store
    await storage.stop()


@pytest.fixture
async def real(platform):
    """PostgreSQL alone: what people do to the registry has no twin."""
    storage = postgres(platform.new_database())
    await storage.start()
    yield storage, PostgresShipments()
    await storage.stop()


def postgres(dsn):
    return PostgresStorage(settings_at(dsn, Settings), [MIGRATIONS])


async def save(rows, *shipments):
    storage, store = rows
    async with storage.transaction("0") as tx:
        await store.save(tx, {each.order: each for each in shipments})


async def ask(rows, question, *arguments):
    storage, store = rows
    async with storage.transaction("0") as tx:
        return await getattr(store, question)(tx, *arguments)


async def erase(rows, *but, subject=ANNA, request=REQUEST):
    storage, store = rows
    async with storage.transaction("0") as tx:
        return await DispatchRights(store, TERMS).erase(tx, Erasing(request, subject, but, tx.at))


@pytest.mark.parametrize("stage", Stage)
async def test_what_was_saved_is_loaded_again(rows, stage):
    saved = shipment(1, stage, request=REQUEST)
    await save(rows, saved)
    assert await ask(rows, "load", [saved.order, "9" * 32]) == {saved.order: saved}
    moved = replace(saved, stage=Stage.DROPPED, code=None)
    await save(rows, moved)
    assert await ask(rows, "load", [saved.order]) == {saved.order: moved}


async def test_another_persons_shipment_is_not_overwritten(rows):
    await save(rows, shipment(1))
    with pytest.raises(StoreRejected):
        await save(rows, shipment(1, subject=BEN))
    assert await ask(rows, "load", [shipment(1).order]) == {shipment(1).order: shipment(1)}


async def test_a_reference_leads_to_its_shipment_from_any_lane(rows):
    await save(rows, shipment(1), shipment(2, subject=BEN))
    one, two = shipment(1), shipment(2, subject=BEN)
    assert await ask(rows, "copies", [one.reference, two.reference, "9" * 32]) == {
        one.reference: Copy(one.reference, "swift", ANNA, one.order),
        two.reference: Copy(two.reference, "swift", BEN, two.order),
    }


async def test_a_forgotten_reference_leads_to_nobody_and_is_still_known(rows):
    await save(rows, shipment(1, Stage.REVOKED))
    await save(rows, replace(shipment(1, Stage.FORGOTTEN), reference=None))
    reference = shipment(1).reference
    assert await ask(rows, "copies", [reference]) == {reference: Copy(reference, "swift")}


async def test_what_somebody_should_look_at_shows_as_a_number_and_goes_again(real):
    storage, _ = real
    watch = Watch(lambda: storage.pool)

    def seen():
        gauges = metrics.PARTNER_HELD, metrics.PARTNER_OVERDUE
        return [gauge.labels(partner="swift")._value.get() for gauge in gauges]

    far_off = shipment(5, Stage.REVOKED, due_at=HOUR + 9_000 * DAY)
    await save(real, shipment(1, Stage.HELD), shipment(2, Stage.HELD, BEN), shipment(3))
    await save(real, shipment(4, Stage.REVOKED, due_at=HOUR - 9_000 * DAY), far_off)
    await watch.look()
    assert seen() == [2, 1]
    await save(
        real, *(replace(shipment(number), subject=who) for number, who in ((1, ANNA), (2, BEN), (4, ANNA)))
    )
    await watch.look()
    assert seen() == [0, 0]


async def test_an_erasure_deletes_what_no_partner_saw_and_reduces_the_rest(rows):
    bens = shipment(6, subject=BEN)
    await save(rows, *(shipment(number, stage) for number, stage in enumerate(Stage, 1)), bens)
    outcome = await erase(rows)
    assert (outcome.erased, outcome.anonymised, outcome.retained) == (2, 3, ())
    assert [each.headers["reason"] for each in outcome.outgoing] == ["erased"]
    (told,) = outcome.partners
    assert (told.partner, told.revoked, told.acknowledged) == ("swift", 3, 1)
    left = await ask(rows, "of_subject", ANNA)
    assert {each.stage for each in left} == {Stage.REVOKED, Stage.FORGOTTEN}
    assert all(
        (each.ship_to, each.service, each.code, each.request) == (None, None, None, REQUEST) for each in left
    )
    assert [each.reference for each in left if each.stage is Stage.FORGOTTEN] == [None]
    assert await ask(rows, "of_subject", BEN) == [bens]


async def test_a_further_round_deletes_nothing_twice_and_says_the_same_of_partners(rows):
    await save(rows, shipment(1), shipment(2, Stage.REVOKED))
    first = await erase(rows)
    second = await erase(rows, request="f" * 32)
    assert (second.erased, second.anonymised, second.outgoing) == (0, 0, ())
    assert second.partners == first.partners
    assert {each.request for each in await ask(rows, "of_subject", ANNA)} == {"f" * 32}


async def test_what_an_open_order_needs_is_kept_and_named(rows):
    open_order, other = shipment(1), shipment(2)
    logistics = Held(scope=open_order.order, category=Category.LOGISTICS, ground=Ground.OPEN_ORDER)
    invoice = Held(scope=other.order, category=Category.ACCOUNTING, ground=Ground.STATUTORY, until=HOUR)
    await save(rows, open_order, other)
    outcome = await erase(rows, logistics, invoice)
    assert (outcome.retained, outcome.anonymised, [each.key for each in outcome.outgoing]) == (
        (logistics,),
        1,
        [other.reference],
    )
    assert (await ask(rows, "load", [open_order.order]))[open_order.order] == open_order


@pytest.mark.parametrize("stage", Stage)
async def test_an_owner_that_keeps_a_row_says_so_whatever_became_of_the_parcel(rows, stage):
    """The release of a cancelled order may still be on its way to the keyring when its person is erased."""
    kept = shipment(1, stage)
    logistics = Held(scope=kept.order, category=Category.LOGISTICS, ground=Ground.OPEN_ORDER)
    await save(rows, kept)
    outcome = await erase(rows, logistics)
    assert (outcome.erased, outcome.anonymised, outcome.retained) == (0, 0, (logistics,))


async def test_what_partners_said_of_the_erased_is_summed_up_per_partner(rows):
    erased = {"request": REQUEST}
    await save(
        rows,
        shipment(1, Stage.REVOKED, **erased),
        shipment(2, Stage.REVOKED, **erased, due_at=HOUR + 2 * DAY),
        replace(shipment(3, Stage.FORGOTTEN, **erased), partner="other", reference=None),
        shipment(4, Stage.REVOKED),
    )
    word = (await ask(rows, "words", [ANNA, BEN]))[ANNA]
    assert word.request == REQUEST
    assert word.partners == (
        PartnerCopy(partner="other", revoked=1, acknowledged=1),
        PartnerCopy(partner="swift", revoked=2, acknowledged=0, due_at=HOUR + 2 * DAY, log_clear_at=HOUR),
    )


async def test_the_reminder_of_a_revocation_survives_the_erasure_of_its_person(rows):
    storage, _ = rows
    await save(rows, shipment(1))
    await erase(rows)
    async with storage.transaction("0") as tx:
        await tx.forget(ANNA, frozenset())
    timers = await timers_of(storage)
    assert [(each.state_key, each.event_type, each.subject) for each in timers] == [
        (shipment(1).order, AcknowledgementMissed.type, "")
    ]


async def timers_of(storage):
    if isinstance(storage, MemoryStorage):
        return list(storage.tables.timers.values())
    rows = await storage.pool.fetch("SELECT state_key, event_type, subject, scope, body, due_at FROM timer")
    return [TimerRow(**row) for row in rows]


async def test_the_registry_is_what_people_made_it(real):
    storage, _ = real
    agreement = Agreement("ab" * 32, ("name", "country"), HOUR, HOUR + 300 * DAY)
    later = replace(agreement, sha256="cd" * 32, valid_to=HOUR + 600 * DAY)
    async with storage.pool.acquire() as connection:
        partners = Partners(connection)
        await partners.add("swift", KEY, agreement)
        await partners.add("swift", '{"kid": "new"}', later)
        await partners.add("swift", '{"kid": "new"}', replace(later, fields=("phone",)))
        await partners.add("other", KEY, agreement)
    assert await ask(real, "registry") == {
        "other": Partner("other", KEY, (agreement,)),
        "swift": Partner("swift", '{"kid": "new"}', (agreement, later)),
    }


async def test_adding_and_revoking_a_partner_makes_dispatch_look_at_once(real):
    storage, _ = real
    held, offered = shipment(1, Stage.HELD), shipment(2)
    await save(real, held, offered)
    async with storage.transaction("0") as tx:
        due_at = tx.at + DAY
        await tx.schedule(
            [
                TimerRow(each.order, event.type, ANNA, each.order, b"{}", due_at)
                for each, event in ((held, ShipmentRetried), (offered, AgreementEnded))
            ]
        )
    assert await storage.waiting() == frozenset()
    async with storage.pool.acquire() as connection:
        partners = Partners(connection)
        await partners.add("swift", KEY, Agreement("ab" * 32, ("name",), HOUR - DAY, HOUR + 9_000 * DAY))
        assert [each.event_type for each in await timers_of(storage) if each.due_at < due_at] == [
            ShipmentRetried.type
        ]
        assert await partners.revoke("swift") == 1
        assert all(each.due_at < due_at for each in await timers_of(storage))
        assert await partners.revoke("swift") == 0
    (partner,) = (await ask(real, "registry")).values()
    assert partner.agreements[0].ended_at is not None


async def test_the_list_shows_agreements_held_shipments_and_missing_words(real):
    storage, _ = real
    await save(
        real,
        shipment(1, Stage.HELD),
        shipment(2),
        shipment(3, Stage.REVOKED, due_at=HOUR - 9_000 * DAY),
        shipment(4, Stage.REVOKED, due_at=HOUR + 9_000 * DAY),
        shipment(5, Stage.FORGOTTEN),
        replace(shipment(6, Stage.HELD), partner="unheard-of", code="partner-unknown"),
    )
    async with storage.pool.acquire() as connection:
        partners = Partners(connection)
        await partners.add("swift", KEY, Agreement("ab" * 32, ("name",), HOUR, HOUR + DAY))
        swift, unknown = await partners.listed()
    counted = ("held", "offered", "unacknowledged", "overdue", "acknowledged")
    assert [swift[name] for name in counted] == [1, 1, 2, 1, 1]
    assert [each["fields"] for each in swift["agreements"]] == [["name"]]
    assert (unknown["partner_id"], unknown["held"], unknown["code"]) == ("unheard-of", 1, "partner-unknown")
