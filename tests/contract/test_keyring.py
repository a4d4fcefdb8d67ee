"""One suite for the keyring and its in-memory twin: what a worker may rely on (T1, U1, R3)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from schemas.holds import Ground
from schemas.privacy import Category, Event, Purpose
from services.kernel.errors import ConfigurationError, KeyringUnavailable, RejectedRecord
from services.kernel.sealing.interface import Keyring, Refused, SubjectState
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey, Erased, KeyRef
from services.kernel.sealing.lease import Want
from services.kernel.sealing.memory import MemoryVault
from services.kernel.sealing.place import place
from services.keyring.settings import Settings
from tests.fixtures.keyring import (
    SHOP,
    TAX_DAY,
    Bench,
    confirmed,
    destroy,
    new_id,
    new_ref,
    released,
    settings_for,
)


@dataclass
class Both:
    """Whichever keyring the suite runs on."""

    subject_of: Any
    gateway: Keyring
    carriers: Keyring
    orders: Keyring

    async def apply(self, subject: str, *events: Event) -> None:
        for event in events:
            answer = self.subject_of.apply(subject, event)
            if asyncio.iscoroutine(answer):
                await answer

    async def minted(self, ref: KeyRef) -> DataKey:
        key = (await self.gateway.mint(SHOP, [ref])).keys[0]
        assert isinstance(key, DataKey)
        return key

    async def refusal(self, ref: KeyRef, storefront: str = SHOP) -> object:
        return (await self.gateway.mint(storefront, [ref])).keys[0]

    async def state(self, subject: str, storefront: str = SHOP) -> SubjectState:
        return (await self.gateway.mint(storefront, [], [subject])).subjects[0]

    async def open(self, want: Want) -> bytes | Erased:
        async with self.carriers.lease(Purpose.DELIVERY, [want]) as lease:
            return lease.unseal(want)


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A database for the whole suite: every test has subjects of its own."""
    dsn = request.getfixturevalue("platform").new_database()
    return settings_for(dsn, tmp_path_factory.mktemp("keyring"))


@pytest.fixture(params=["twin", "service"])
async def keyring(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "twin":
        vault = MemoryVault()
        yield Both(vault, vault.principal("gateway"), vault.principal("carriers"), vault.principal("orders"))
        return
    async with Bench(request.getfixturevalue("settings")) as bench:
        principals = [bench.principal(name) for name in ("gateway", "carriers", "orders")]
        yield Both(bench, *principals)
        for principal in principals:
            await principal.close()


def sealed(key: DataKey, ref: KeyRef) -> Want:
    where = place("orders", ref.scope, "ship_to")
    return Want(seal(key, where, b'"somewhere"'), where, ref)


async def test_what_the_edge_seals_the_carrier_opens(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    assert await keyring.open(want) == b'"somewhere"'


async def test_every_mint_is_a_fresh_key(keyring: Both) -> None:
    """Who writes can never get back a key under which something was sealed before."""
    ref = new_ref()
    answers = await asyncio.gather(*(keyring.gateway.mint(SHOP, [ref, ref]) for _ in range(5)))
    kids = {key.kid for answer in answers for key in answer.keys if isinstance(key, DataKey)}
    assert len(kids) == 10


async def test_answers_keep_the_order_of_the_questions(keyring: Both) -> None:
    erased, fine = new_ref(), new_ref()
    await keyring.apply(erased.subject, destroy())
    minted = await keyring.gateway.mint(SHOP, [fine, erased, fine], [erased.subject, fine.subject])
    assert [type(key) for key in minted.keys] == [DataKey, Refused, DataKey]
    assert minted.subjects == (SubjectState.ERASED, SubjectState.ACTIVE)


@pytest.mark.parametrize("other", ["subject", "scope"])
async def test_a_value_never_opens_for_another_subject_or_scope(keyring: Both, other: str) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    with pytest.raises(RejectedRecord, match="unsealing-failed"):
        await keyring.open(replace(want, ref=replace(ref, **{other: new_id()})))


async def test_a_value_never_opens_as_another_category(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    with pytest.raises(RejectedRecord):
        await keyring.open(replace(want, ref=replace(ref, category=Category.TRANSACTION)))


async def test_a_category_without_right_never_opens(keyring: Both) -> None:
    ref = new_ref(Category.ACCOUNTING)
    want = sealed(await keyring.minted(ref), ref)
    with pytest.raises(RejectedRecord):
        await keyring.open(want)


async def test_an_unknown_key_is_a_rejected_record(keyring: Both) -> None:
    ref = new_ref()
    with pytest.raises(RejectedRecord):
        await keyring.open(sealed(DataKey.fresh(), ref))


async def test_who_has_no_right_at_all_is_misconfigured(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    with pytest.raises(ConfigurationError):
        await keyring.carriers.mint(SHOP, [ref])
    for principal, purpose in ((keyring.orders, Purpose.DELIVERY), (keyring.carriers, Purpose.SETTLEMENT)):
        with pytest.raises(ConfigurationError):
            async with principal.lease(purpose, [want]):
                pass


async def test_who_writes_cannot_open(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    with pytest.raises(ConfigurationError):
        async with keyring.gateway.lease(Purpose.DELIVERY, [want]):
            pass


async def test_a_category_that_nobody_writes_is_not_minted(keyring: Both) -> None:
    answers = await keyring.gateway.mint(SHOP, [new_ref(Category.IDENTITY), new_ref()])
    assert answers.keys[0] is Refused.CATEGORY_FORBIDDEN
    assert isinstance(answers.keys[1], DataKey)


async def test_a_subject_belongs_to_the_storefront_that_brought_it(keyring: Both) -> None:
    ref = new_ref()
    await keyring.minted(ref)
    assert await keyring.refusal(ref, "stall") is Refused.SUBJECT_FOREIGN
    assert await keyring.state(ref.subject, "stall") is SubjectState.FOREIGN
    assert await keyring.state(ref.subject) is SubjectState.ACTIVE


async def test_asking_for_a_subject_binds_it(keyring: Both) -> None:
    subject = new_id()
    assert await keyring.state(subject) is SubjectState.ACTIVE
    assert await keyring.state(subject, "stall") is SubjectState.FOREIGN


async def test_a_released_order_dies_with_the_erasure(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    await keyring.apply(ref.subject, confirmed(ref, 1), released(ref, 2), destroy())
    assert isinstance(await keyring.open(want), Erased)
    assert await keyring.state(ref.subject) is SubjectState.ERASED
    assert await keyring.refusal(ref) is Refused.SUBJECT_ERASED


async def test_an_order_nobody_has_seen_yet_survives_the_erasure(keyring: Both) -> None:
    """It was placed this second: it may be on its way to a carrier's van (provisional)."""
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    await keyring.apply(ref.subject, destroy())
    assert await keyring.open(want) == b'"somewhere"'
    assert await keyring.state(ref.subject) is SubjectState.ERASING


async def test_a_held_order_lives_until_it_is_released(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    await keyring.apply(ref.subject, confirmed(ref), destroy())
    assert await keyring.open(want) == b'"somewhere"'
    await keyring.apply(ref.subject, released(ref))
    assert isinstance(await keyring.open(want), Erased)
    assert await keyring.state(ref.subject) is SubjectState.ERASED


async def test_a_held_order_can_still_be_paid_while_everything_else_is_refused(keyring: Both) -> None:
    ref = new_ref()
    invoice = replace(ref, category=Category.ACCOUNTING)
    await keyring.minted(ref)
    await keyring.apply(ref.subject, confirmed(ref), confirmed(invoice), destroy())
    assert isinstance(await keyring.minted(invoice), DataKey)
    assert await keyring.refusal(replace(ref, scope=new_id())) is Refused.SUBJECT_ERASED
    assert await keyring.refusal(replace(ref, category=Category.TRANSACTION)) is Refused.SUBJECT_ERASED


async def test_a_key_minted_while_erasing_inherits_its_ground(keyring: Both) -> None:
    ref = new_ref()
    await keyring.minted(ref)
    await keyring.apply(ref.subject, confirmed(ref), destroy())
    later = sealed(await keyring.minted(ref), ref)
    await keyring.apply(ref.subject, destroy(round_number=2))
    assert await keyring.open(later) == b'"somewhere"'
    await keyring.apply(ref.subject, released(ref))
    assert isinstance(await keyring.open(later), Erased)


async def test_an_invoice_is_kept_for_its_years_and_the_rest_dies(keyring: Both) -> None:
    ref = new_ref()
    invoice = replace(ref, category=Category.ACCOUNTING)
    address = sealed(await keyring.minted(ref), ref)
    await keyring.minted(invoice)
    await keyring.apply(
        ref.subject,
        confirmed(ref, 1),
        confirmed(invoice, 1, Ground.STATUTORY, TAX_DAY),
        released(ref, 2),
        destroy(),
    )
    assert isinstance(await keyring.open(address), Erased)
    assert await keyring.state(ref.subject) is SubjectState.ERASING
    assert await keyring.refusal(ref) is Refused.SUBJECT_ERASED
    assert isinstance(await keyring.minted(invoice), DataKey)


async def test_an_old_hold_does_not_bring_back_what_was_released(keyring: Both) -> None:
    ref = new_ref()
    await keyring.minted(ref)
    await keyring.apply(ref.subject, confirmed(ref, 2), released(ref, 3), confirmed(ref, 1), destroy())
    assert await keyring.state(ref.subject) is SubjectState.ERASED


async def test_a_hold_after_the_erasure_brings_nothing_back(keyring: Both) -> None:
    ref = new_ref()
    want = sealed(await keyring.minted(ref), ref)
    await keyring.apply(ref.subject, confirmed(ref, 1), released(ref, 2), destroy(), confirmed(ref, 3))
    assert isinstance(await keyring.open(want), Erased)
    assert await keyring.refusal(ref) is Refused.SUBJECT_ERASED


async def test_a_person_never_seen_can_be_erased_and_gets_no_key_later(keyring: Both) -> None:
    ref = new_ref()
    await keyring.apply(ref.subject, destroy())
    assert await keyring.state(ref.subject) is SubjectState.ERASED
    assert await keyring.refusal(ref) is Refused.SUBJECT_ERASED


async def test_erasing_one_person_leaves_others_alone(keyring: Both) -> None:
    mine, theirs = new_ref(), new_ref()
    want = sealed(await keyring.minted(theirs), theirs)
    await keyring.minted(mine)
    await keyring.apply(mine.subject, destroy())
    assert await keyring.open(want) == b'"somewhere"'
    assert await keyring.state(theirs.subject) is SubjectState.ACTIVE


async def test_a_keyring_that_is_away_is_a_reason_to_wait(keyring: Both) -> None:
    if isinstance(keyring.subject_of, Bench):
        keyring.subject_of.ready = False
    else:
        keyring.subject_of.away = True
    with pytest.raises(KeyringUnavailable):
        await keyring.gateway.mint(SHOP, [new_ref()])
