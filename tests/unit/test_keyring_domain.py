"""What may happen to a subject's keys, for every order of events (R3, T4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.erasure import Destroy
from schemas.holds import Ground, Hold, HoldConfirmed, HoldReleased
from schemas.privacy import Category, Event
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.interface import Refused
from services.kernel.sealing.keys import DataKey, KeyRef
from services.kernel.sealing.memory import MemoryVault
from services.keyring import domain
from services.keyring.domain import Change, State, Subject
from services.keyring.grounds import PROVISIONAL_FOR, Pair, PairId, provisional

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=3650)
SHOP, SUBJECT, REQUEST = "shop", "5" * 32, "d" * 32
ORDERS = ("a" * 32, "b" * 32)
CATEGORIES = (Category.LOGISTICS, Category.ACCOUNTING)
ADDRESS, INVOICE = PairId(ORDERS[0], Category.LOGISTICS), PairId(ORDERS[0], Category.ACCOUNTING)

scopes, categories = st.sampled_from(ORDERS), st.sampled_from(CATEGORIES)
revisions = st.integers(1, 6)
holds = st.one_of(
    st.builds(Hold, category=categories, ground=st.just(Ground.OPEN_ORDER)),
    st.builds(Hold, category=categories, ground=st.just(Ground.STATUTORY), until=st.just(LATER)),
)
hold_events = st.one_of(
    st.builds(HoldConfirmed, order=scopes, revision=revisions, holds=st.tuples(holds)),
    st.builds(HoldReleased, order=scopes, revision=revisions, categories=st.tuples(categories)),
)
destructions = st.builds(Destroy, request=st.just(REQUEST), round=st.integers(1, 3))
mints = st.builds(KeyRef, subject=st.just(SUBJECT), category=categories, scope=scopes)
histories = st.lists(st.one_of(hold_events, destructions, mints), max_size=25)


def happen(subject: Subject, event: Event | KeyRef, at: datetime = NOW) -> Change:
    match event:
        case KeyRef(category=category, scope=scope):
            return Change(minted(subject, PairId(scope, category), at))
        case HoldConfirmed():
            return domain.confirm(subject, event, at)
        case HoldReleased():
            return domain.release(subject, event, at)
        case Destroy(request=request, round=number):
            if domain.said_before(subject, request, number):
                return Change(subject)
            return domain.destroy(subject, request, number, at)
    raise AssertionError(event)


def minted(subject: Subject, pair_id: PairId, at: datetime = NOW) -> Subject:
    """What a mint does to the rows, when it may."""
    if domain.may_mint(subject, SHOP, pair_id, at):
        return subject
    pair = subject.pairs.get(pair_id) or provisional(at)
    return replace(subject, pairs={**subject.pairs, pair_id: replace(pair, live=pair.live + 1)})


def after(history: list[Event | KeyRef], subject: Subject | None = None) -> Subject:
    subject = subject or Subject()
    for event in history:
        subject = happen(subject, event).subject
    return subject


@given(history=histories)
def test_what_dies_is_exactly_what_nothing_holds(history: list[Event | KeyRef]) -> None:
    subject = Subject()
    for event in history:
        change = happen(subject, event)
        for pair_id in change.destroyed:
            assert subject.state is not State.ERASED
            assert change.subject.state is not State.ACTIVE
            assert not change.subject.pairs.get(pair_id, Pair()).held(NOW)
        if change.subject.state is State.ERASING:
            assert all(pair.held(NOW) for pair in change.subject.pairs.values() if pair.live)
        subject = change.subject


@given(history=histories)
def test_there_is_no_way_back(history: list[Event | KeyRef]) -> None:
    order = [State.ACTIVE, State.ERASING, State.ERASED]
    subject, reached = Subject(), 0
    for event in history:
        subject = happen(subject, event).subject
        assert order.index(subject.state) >= reached
        reached = order.index(subject.state)
    if subject.state is State.ERASED:
        assert not any(pair.live for pair in subject.pairs.values())
        assert all(
            domain.may_mint(subject, SHOP, PairId(scope, category), NOW) is Refused.SUBJECT_ERASED
            for scope in ORDERS
            for category in CATEGORIES
        )


@given(history=histories, again=st.data())
def test_a_repeat_changes_and_says_nothing(history: list[Event | KeyRef], again: st.DataObject) -> None:
    """Whatever was heard once and is heard again, alone or as a stretch, finds everything as it left it."""
    history = [event for event in history if not isinstance(event, KeyRef)]
    subject = after(history)
    if history:
        start = again.draw(st.integers(0, len(history) - 1))
        for event in history[start:]:
            if isinstance(event, Destroy) and event.round < subject.round:
                continue
            change = happen(subject, event)
            assert change.subject == subject
            assert not change.destroyed
            assert not change.ended


@given(history=histories)
def test_the_twin_answers_like_the_domain(history: list[Event | KeyRef]) -> None:
    vault, subject = MemoryVault(_Stopped()), Subject(storefront=SHOP)
    for event in history:
        if isinstance(event, KeyRef):
            refusal = domain.may_mint(subject, SHOP, PairId(event.scope, event.category), NOW)
            answer = vault.mint_one(SHOP, event)
            assert (None if isinstance(answer, DataKey) else answer) == refusal
        else:
            vault.apply(SUBJECT, event)
        subject = happen(subject, event).subject
        assert vault.state(SHOP, SUBJECT).value == subject.state.value


def test_provisional_pairs_are_spared_and_listed() -> None:
    change = domain.destroy(minted(Subject(), ADDRESS), REQUEST, 1, NOW)
    assert not change.destroyed
    (held,) = change.subject.held(NOW)
    assert (held.ground, held.until) == (Ground.PROVISIONAL, NOW + PROVISIONAL_FOR)


def test_a_provisional_pair_ends_by_itself_and_the_erasure_with_it() -> None:
    erasing = domain.destroy(minted(Subject(), ADDRESS), REQUEST, 1, NOW).subject
    assert erasing.next_end(NOW) == NOW + PROVISIONAL_FOR
    change = domain.lapse(erasing, NOW + PROVISIONAL_FOR)
    assert change.destroyed == (ADDRESS,)
    assert [held.ground for held in change.ended] == [Ground.PROVISIONAL]
    assert change.subject.state is State.ERASED


def test_an_open_order_never_ends_by_itself() -> None:
    """Overdue is an alarm and an incomplete erasure, never a destroyed open order."""
    hold = Hold(category=ADDRESS.category, ground=Ground.OPEN_ORDER, until=NOW)
    confirmed = HoldConfirmed(order=ADDRESS.scope, revision=1, holds=(hold,))
    erasing = after([KeyRef(SUBJECT, ADDRESS.category, ADDRESS.scope), confirmed, destruction()])
    assert erasing.state is State.ERASING, "its day has come and it lives"
    assert domain.lapse(erasing, LATER).subject == erasing
    assert erasing.next_end(NOW) is None


def test_an_invoice_dies_on_its_day() -> None:
    hold = Hold(category=INVOICE.category, ground=Ground.STATUTORY, until=LATER)
    confirmed = HoldConfirmed(order=INVOICE.scope, revision=1, holds=(hold,))
    erasing = after([KeyRef(SUBJECT, INVOICE.category, INVOICE.scope), confirmed, destruction()])
    assert domain.lapse(erasing, LATER - timedelta(seconds=1)).subject == erasing
    assert domain.lapse(erasing, LATER).destroyed == (INVOICE,)


def test_a_release_ends_the_grounds_it_names_and_no_other() -> None:
    subject = after([key(ADDRESS), key(INVOICE), open_order(1), destruction()])
    change = domain.release(
        subject, HoldReleased(order=ORDERS[0], revision=2, categories=(ADDRESS.category,)), NOW
    )
    assert change.destroyed == (ADDRESS,)
    assert [(held.scope, held.category, held.ground) for held in change.ended] == [
        (*ADDRESS, Ground.OPEN_ORDER)
    ]
    assert change.subject.state is State.ERASING


@pytest.mark.parametrize("erasing", [False, True])
def test_an_old_word_that_comes_late_changes_nothing(erasing: bool) -> None:
    """Neither a release from before the hold nor a hold from before the release, whatever their order in the log."""
    begun = [destruction()] if erasing else []
    held = after([key(ADDRESS), open_order(3), *begun])
    old_release = HoldReleased(order=ORDERS[0], revision=2, categories=(ADDRESS.category,))
    assert domain.release(held, old_release, NOW) == Change(held)
    released = domain.release(held, old_release.model_copy(update={"revision": 4}), NOW).subject
    assert domain.confirm(released, open_order(3), NOW) == Change(released)


def test_while_erasing_only_what_is_still_held_gets_another_key() -> None:
    """A held order can still be paid; a pair that was let go, or never was, gets nothing again."""
    subject = after([key(ADDRESS), key(INVOICE), open_order(1), destruction()])
    release = HoldReleased(order=ORDERS[0], revision=2, categories=(ADDRESS.category,))
    subject = domain.release(subject, release, NOW).subject
    assert subject.state is State.ERASING and ADDRESS in subject.pairs
    assert domain.may_mint(subject, SHOP, INVOICE, NOW) is None
    for gone in (ADDRESS, PairId(ORDERS[1], Category.LOGISTICS)):
        assert domain.may_mint(subject, SHOP, gone, NOW) is Refused.SUBJECT_ERASED


def test_another_shops_customer_is_refused_whatever_the_state() -> None:
    for state in State:
        subject = Subject(state, storefront=SHOP)
        assert domain.may_mint(subject, "shoeshop", ADDRESS, NOW) is Refused.SUBJECT_FOREIGN


def test_a_new_round_lists_what_is_still_held() -> None:
    subject = after([key(ADDRESS), open_order(1), destruction()])
    change = domain.destroy(subject, REQUEST, 2, NOW)
    assert change.subject.round == 2
    assert not change.destroyed
    assert {(held.scope, held.category) for held in change.subject.held(NOW)} == {ADDRESS, INVOICE}


def test_while_erasing_a_new_order_cannot_be_held() -> None:
    subject = after([key(ADDRESS), open_order(1), destruction()])
    late = HoldConfirmed(
        order=ORDERS[1], revision=1, holds=(Hold(category=Category.LOGISTICS, ground=Ground.OPEN_ORDER),)
    )
    assert domain.confirm(subject, late, NOW).subject == subject


@pytest.mark.parametrize(
    "hold",
    [
        Hold(category=Category.LOGISTICS, ground=Ground.PROVISIONAL),
        Hold(category=Category.ACCOUNTING, ground=Ground.STATUTORY),
    ],
)
def test_a_hold_that_nobody_may_claim_is_rejected(hold: Hold) -> None:
    with pytest.raises(RejectedRecord, match="hold-"):
        domain.confirm(Subject(), HoldConfirmed(order=ORDERS[0], revision=1, holds=(hold,)), NOW)


def key(pair_id: PairId) -> KeyRef:
    return KeyRef(SUBJECT, pair_id.category, pair_id.scope)


def open_order(revision: int) -> HoldConfirmed:
    both = tuple(Hold(category=category, ground=Ground.OPEN_ORDER) for category in CATEGORIES)
    return HoldConfirmed(order=ORDERS[0], revision=revision, holds=both)


def destruction() -> Destroy:
    return Destroy(request=REQUEST, round=1)


class _Stopped:
    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")
