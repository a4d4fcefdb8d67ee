"""What the keyring does about what it hears: receipts, ends of grounds, reminders, expiry (R3, T4)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from schemas.envelope import Envelope
from schemas.erasure import Erase, GroundEnded, KeysDestroyed
from schemas.holds import Ground
from schemas.privacy import Category, Event
from schemas.statements import digest_of
from schemas.topics import RECEIPTS
from services.kernel.broker.interface import Record
from services.kernel.sealing.interface import Refused
from services.kernel.sealing.keys import decoded
from services.kernel.sealing.lease import LEASE_SECONDS
from services.kernel.worker.endings import CONSUMED, REJECTED, REPEATED
from services.kernel.worker.worker import Handled, Received
from services.keyring.commands import Commands, GroundsDue
from services.keyring.expiry import expire
from services.keyring.minting import NewKey
from services.keyring.opening import Denied, OpenKey
from services.keyring.rotation import rotate
from services.keyring.settings import Settings
from tests.fixtures.keyring import (
    TAX_DAY,
    Bench,
    confirmed,
    destroy,
    new_id,
    new_ref,
    released,
    settings_for,
)


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    dsn = request.getfixturevalue("platform").new_database()
    return settings_for(dsn, tmp_path_factory.mktemp("keyring"))


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    async with Bench(settings) as bench:
        yield bench


async def handle(bench: Bench, *told: tuple[str, Event]) -> list[Handled]:
    """Give the handler one batch, as the loop does."""
    handler = Commands(bench.signer)
    record = Record("holds", 0, 0, b"", b"", ())
    batch = [
        Received(record, Envelope(new_id(), event.type, "/test"), event, subject, handler.key(event, subject))
        for subject, event in told
    ]
    async with bench.storage.transaction("0") as tx:
        return await handler.handle(tx, batch)


def said(handled: Handled) -> Any:
    (outgoing,) = handled.outgoing
    assert outgoing.topic == RECEIPTS.name
    assert outgoing.key == handled.received.subject
    return outgoing.event


async def test_a_receipt_says_what_died_and_what_is_held_and_by_which_ground(bench: Bench) -> None:
    gone = new_ref()
    order = replace(gone, scope=new_id())
    invoice = replace(gone, category=Category.ACCOUNTING, scope=new_id())
    unseen = replace(gone, scope=new_id())
    minted = await bench.mint(gone, gone, order, invoice, unseen)
    subject, request = gone.subject, new_id()
    handled = await handle(
        bench,
        (subject, confirmed(gone, 1)),
        (subject, released(gone, 2)),
        (subject, confirmed(order, 1)),
        (subject, confirmed(invoice, 1, Ground.STATUTORY, TAX_DAY)),
        (subject, destroy(request)),
    )
    receipt = said(handled[-1])
    assert isinstance(receipt, KeysDestroyed)
    assert (receipt.request, receipt.round, receipt.destroyed) == (request, 1, 2)
    assert {(held.scope, held.category, held.ground) for held in receipt.held} == {
        (order.scope, Category.LOGISTICS, Ground.OPEN_ORDER),
        (invoice.scope, Category.ACCOUNTING, Ground.STATUTORY),
        (unseen.scope, Category.LOGISTICS, Ground.PROVISIONAL),
    }
    assert receipt.unreadable_at - receipt.destroyed_at == timedelta(seconds=LEASE_SECONDS)
    signed = jws.deserialize_compact(
        receipt.statement, OKPKey.import_key(bench.signer.jwk()), algorithms=["EdDSA"]
    )
    statement = orjson.loads(signed.payload)
    assert statement["kids_sha256"] == digest_of(key.kid for key in minted[:2])
    assert subject not in signed.payload.decode()
    opened = await bench.open(*(key.kid for key in minted))
    assert [type(each) for each in opened[:3]] == [Denied, Denied, OpenKey]


async def test_a_key_dies_in_the_row_itself(bench: Bench) -> None:
    ref = new_ref()
    (key,) = await bench.mint(ref)
    for event in (confirmed(ref), released(ref), destroy()):
        await bench.apply(ref.subject, event)
    row = await bench.pool.fetchrow("SELECT wrapped, destroyed_at FROM data_key WHERE kid = $1", key.kid)
    assert row["wrapped"] is None
    assert row["destroyed_at"] is not None


async def test_the_end_of_each_ground_is_told_and_the_last_one_finishes(bench: Bench) -> None:
    first = new_ref()
    second = replace(first, scope=new_id())
    await bench.mint(first, second)
    subject, request = first.subject, new_id()
    await handle(
        bench, (subject, confirmed(first)), (subject, confirmed(second)), (subject, destroy(request))
    )
    (handled,) = await handle(bench, (subject, released(first)))
    event = said(handled)
    assert isinstance(event, GroundEnded)
    assert event.request == request
    assert [(held.scope, held.ground) for held in event.ended] == [(first.scope, Ground.OPEN_ORDER)]
    assert await bench.state(subject) == "erasing"
    (handled,) = await handle(bench, (subject, released(second)))
    assert said(handled).request == request
    assert await bench.state(subject) == "erased"


async def test_a_release_of_somebody_who_is_not_erased_says_nothing(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    handled = await handle(bench, (ref.subject, confirmed(ref)), (ref.subject, released(ref)))
    assert [each.ending for each in handled] == [CONSUMED, CONSUMED]
    assert not any(each.outgoing for each in handled)
    assert await bench.live(ref.subject) == 1


async def test_everything_in_one_batch_is_as_good_as_one_by_one(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    handled = await handle(
        bench, *((ref.subject, event) for event in (confirmed(ref), destroy(), released(ref), destroy()))
    )
    assert [len(each.outgoing) for each in handled] == [0, 1, 1, 1]
    assert said(handled[1]).held
    assert not said(handled[3]).held
    assert await bench.state(ref.subject) == "erased"


async def test_a_repeat_says_nothing(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    history = [(ref.subject, event) for event in (confirmed(ref), destroy(), released(ref))]
    await handle(bench, *history)
    handled = await handle(bench, *history)
    assert [each.ending for each in handled] == [REPEATED] * 3
    assert not any(each.outgoing for each in handled)


async def test_a_command_to_the_owners_changes_nothing_here(bench: Bench) -> None:
    """As a dead letter, it would open the breaker after a hundred erasures."""
    ref = new_ref()
    (handled,) = await handle(bench, (ref.subject, Erase(request=new_id(), round=1)))
    assert (handled.ending, handled.outgoing) == (REPEATED, ())


async def test_a_person_never_seen_gets_a_receipt_about_nothing(bench: Bench) -> None:
    subject = new_id()
    (handled,) = await handle(bench, (subject, destroy()))
    assert (said(handled).destroyed, said(handled).held) == (0, ())
    assert await bench.state(subject) == "erased"


async def test_a_hold_that_nobody_may_claim_ends_as_rejected_and_harms_no_other(bench: Bench) -> None:
    ref = new_ref()
    bad, good = await handle(
        bench, (ref.subject, confirmed(ref, 1, Ground.PROVISIONAL)), (ref.subject, confirmed(ref, 1))
    )
    assert (bad.ending, bad.code) == (REJECTED, "hold-provisional")
    assert good.ending == CONSUMED


async def test_an_erasing_subject_reminds_itself_of_the_next_end(bench: Bench) -> None:
    ref = new_ref()
    invoice = replace(ref, category=Category.ACCOUNTING)
    await bench.mint(ref, invoice)
    subject = ref.subject
    handled = await handle(
        bench, (subject, confirmed(invoice, 1, Ground.STATUTORY, TAX_DAY)), (subject, destroy())
    )
    (timer,) = handled[-1].timers
    assert isinstance(timer.event, GroundsDue)
    assert timedelta(days=13) < timer.after < timedelta(days=15), "the provisional pair ends first"
    (handled,) = await _as_of(bench, subject, TAX_DAY - timedelta(days=1))
    assert [held.ground for held in said(handled).ended] == [Ground.PROVISIONAL]
    assert handled.timers[0].after == timedelta(days=1)
    (handled,) = await _as_of(bench, subject, TAX_DAY)
    assert [held.ground for held in said(handled).ended] == [Ground.STATUTORY]
    assert await bench.state(subject) == "erased"


async def _as_of(bench: Bench, subject: str, at: datetime) -> list[Handled]:
    """Give the handler its reminder at some time."""
    handler = Commands(bench.signer)
    event = GroundsDue()
    received = Received(
        Record("(timers)", 0, 0, b"", b"", ()),
        Envelope(new_id(), event.type, "/test"),
        event,
        subject,
        subject,
    )
    async with bench.storage.transaction("0") as tx:
        tx.at = at
        return await handler.handle(tx, [received])


async def _age(bench: Bench, subject: str) -> None:
    await bench.pool.execute(
        "UPDATE pair SET held_until = now() - interval '1 s' WHERE subject = $1 AND held_until IS NOT NULL",
        subject,
    )


async def test_a_key_nobody_ever_confirmed_expires(bench: Bench) -> None:
    ref = new_ref()
    (key,) = await bench.mint(ref)
    await expire(bench.pool)
    assert await bench.live(ref.subject) == 1
    await _age(bench, ref.subject)
    await expire(bench.pool)
    assert await bench.open(key.kid) == [Denied.ERASED]
    assert await bench.state(ref.subject) == "active"
    assert isinstance((await bench.mint(ref))[0], NewKey), "the person goes on shopping"


async def test_an_invoice_expires_on_its_day_and_an_open_order_never(bench: Bench) -> None:
    order = new_ref()
    invoice = replace(order, category=Category.ACCOUNTING)
    keys = await bench.mint(order, invoice)
    await bench.apply(order.subject, confirmed(order, 1, Ground.OPEN_ORDER, TAX_DAY))
    await bench.apply(order.subject, confirmed(invoice, 1, Ground.STATUTORY, TAX_DAY))
    await _age(bench, order.subject)
    await expire(bench.pool)
    assert isinstance((await bench.open(keys[0].kid))[0], OpenKey)
    assert await bench.open(keys[1].kid, category=Category.ACCOUNTING) == [Denied.ERASED]


async def test_expiry_leaves_the_erasing_to_their_reminder(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    await handle(bench, (ref.subject, destroy()))
    await _age(bench, ref.subject)
    await expire(bench.pool)
    assert await bench.live(ref.subject) == 1
    (handled,) = await handle(bench, (ref.subject, GroundsDue()))
    assert said(handled).ended
    assert await bench.state(ref.subject) == "erased"


async def test_a_mint_renews_what_nobody_has_handled_yet(bench: Bench) -> None:
    """A payment on the thirteenth day waits in the topic as long as the order did."""
    ref = new_ref()
    await bench.mint(ref)
    await bench.pool.execute(
        "UPDATE pair SET held_until = now() + interval '1 day' WHERE subject = $1", ref.subject
    )
    await bench.mint(ref)
    until = await bench.pool.fetchval("SELECT held_until FROM pair WHERE subject = $1", ref.subject)
    assert until > datetime.now(UTC) + timedelta(days=13)


async def test_a_mint_while_erasing_renews_nothing(bench: Bench) -> None:
    """Or a shop could put off an erasure for ever by one more event."""
    ref = new_ref()
    await bench.mint(ref)
    await bench.apply(ref.subject, destroy())
    before = await bench.pool.fetchval("SELECT held_until FROM pair WHERE subject = $1", ref.subject)
    await bench.mint(ref)
    assert await bench.pool.fetchval("SELECT held_until FROM pair WHERE subject = $1", ref.subject) == before


async def test_a_hold_replayed_into_a_restored_keyring_binds_nobody_to_a_shop(bench: Bench) -> None:
    ref = new_ref()
    await bench.apply(ref.subject, confirmed(ref))
    assert isinstance((await bench.mint(ref, storefront="shop"))[0], NewKey)
    assert await bench.mint(ref, storefront="stall") == [Refused.SUBJECT_FOREIGN]


async def test_a_statement_names_kek_versions_until_they_are_destroyed(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    history = [(ref.subject, event) for event in (confirmed(ref), released(ref), destroy("a" * 32))]
    before = said((await handle(bench, *history))[-1])
    version = await bench.pool.fetchval(
        "SELECT version FROM kek WHERE category = 'logistics' AND state = 'primary'"
    )
    assert _pending(before) == [("logistics", version)]
    await rotate(bench.pool, bench.keks, Category.LOGISTICS)
    after = said((await handle(bench, (ref.subject, destroy("a" * 32, 2))))[-1])
    assert _pending(after) == []


def _pending(receipt: KeysDestroyed) -> list[tuple[str, int]]:
    statement = orjson.loads(decoded(receipt.statement.split(".")[1]))
    return [(kek["category"], kek["version"]) for kek in statement["keks_pending"]]
