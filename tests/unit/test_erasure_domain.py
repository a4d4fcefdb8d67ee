"""What follows from a request to be forgotten, step by step."""

import pytest

from schemas.erasure import (
    CertificateIssued,
    Destroy,
    Erase,
    GroundEnded,
    PartnerAcknowledged,
    PartnerCopy,
    RequestProgressed,
    RequestState,
)
from schemas.holds import Ground
from schemas.privacy import Category
from services.erasure.domain import decide
from services.erasure.verification import read_certificate
from services.kernel.errors import RejectedRecord
from tests.fixtures.erasures import RULES, START, Ledger, given, held, keys_destroyed, receipt, requested

FIRST = requested().request


def fanned_out(*pairs) -> Ledger:
    """Return a ledger whose keyring has answered round 1."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.fold(keys_destroyed(FIRST, 1, pairs))
    return ledger


def certified(*pairs) -> Ledger:
    """Return a ledger with a certificate for round 1."""
    ledger = fanned_out(*pairs)
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner, retained=pairs))
    return ledger


def last(ledger: Ledger):
    """Return the contents of the newest certificate."""
    return read_certificate(ledger.certificates[-1].certificate)


def test_the_keyring_is_asked_before_anybody_else():
    """Destruction waits for nobody (R3)."""
    command, progress = Ledger().fold(requested())
    assert command == Destroy(request=FIRST, round=1)
    assert progress.state is RequestState.VERIFIED and progress.missing == ("keyring",)


def test_the_owners_are_asked_when_the_keys_are_gone_and_told_what_is_held():
    """What a ground holds is excepted, provisional pairs included."""
    pairs = (held(1), held(2, ground=Ground.PROVISIONAL))
    ledger = Ledger()
    ledger.fold(requested())
    command, progress = ledger.fold(keys_destroyed(FIRST, 1, pairs))
    assert command == Erase(request=FIRST, round=1, but=pairs)
    assert progress.state is RequestState.FANNED_OUT
    assert progress.missing == RULES.owners and progress.missing_since == START
    assert progress.retained == pairs and progress.unreadable_at > START


def test_it_is_certified_only_when_the_last_owner_has_answered():
    """Never `complete` while one is missing."""
    ledger = fanned_out()
    (progress,) = ledger.fold(receipt(FIRST, 1, "orders"))
    assert progress.missing == ("carriers",) and not ledger.certificates
    issued, progress = ledger.fold(receipt(FIRST, 1, "carriers"))
    assert isinstance(issued, CertificateIssued)
    assert progress.state is RequestState.CERTIFIED and not progress.missing


def test_a_silent_owner_makes_the_request_incomplete_until_it_answers():
    """`incomplete` names who is missing and since when."""
    ledger = fanned_out()
    ledger.fold(receipt(FIRST, 1, "orders"))
    (progress,) = ledger.pass_time(31)
    assert progress.state is RequestState.INCOMPLETE
    assert progress.missing == ("carriers",) and progress.missing_since == START
    assert [event.state for event in ledger.fold(receipt(FIRST, 1, "carriers"))[1:]] == [
        RequestState.CERTIFIED
    ]


def test_a_silent_keyring_makes_the_request_incomplete_too():
    """The keyring is missing by name like everybody else."""
    ledger = Ledger()
    ledger.fold(requested())
    (progress,) = ledger.pass_time(31)
    assert progress.state is RequestState.INCOMPLETE and progress.missing == ("keyring",)
    _, progress = ledger.fold(keys_destroyed(FIRST, 1))
    assert progress.state is RequestState.FANNED_OUT


def test_time_given_to_the_keyring_is_not_taken_from_the_owners():
    """Owners asked a moment ago are not late because the keyring was slow."""
    ledger = Ledger()
    ledger.fold(requested())
    ledger.pass_time(25)
    ledger.fold(keys_destroyed(FIRST, 1))
    assert ledger.pass_time(10) == []
    assert [event.state for event in ledger.pass_time(21)] == [RequestState.INCOMPLETE]


def test_an_owner_that_stored_and_finds_nothing_is_not_believed():
    """Zero rows for a known subject means the wrong id was looked up, not that all is well."""
    ledger = fanned_out()
    (progress,) = ledger.fold(receipt(FIRST, 1, "orders", erased=0))
    assert progress.state is RequestState.INCOMPLETE and "orders" in progress.missing
    assert ledger.state.owed[-1].doubt == "nothing-found"
    ledger.fold(receipt(FIRST, 1, "carriers"))
    assert not ledger.certificates
    ledger.fold(receipt(FIRST, 1, "orders", erased=1))
    assert len(ledger.certificates) == 1


def test_an_owner_that_never_stored_may_find_nothing():
    """`nothing held` is an answer."""
    ledger = fanned_out()
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner, stored=False, erased=0))
    assert {part.outcome for part in last(ledger).owners} == {"nothing-held"}


def test_an_owner_that_cleaned_up_in_an_earlier_round_may_find_nothing():
    """Its own earlier clean-up is the reason."""
    ledger = certified(held(1))
    ledger.fold(GroundEnded(request=FIRST, ended=(held(1),)))
    ledger.fold(keys_destroyed(FIRST, 2))
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 2, owner, erased=0))
    assert len(ledger.certificates) == 2
    assert {part.erased_before for part in last(ledger).owners} == {1}


def test_a_late_answer_of_an_older_round_counts_as_clean_up_but_answers_nothing():
    """What the older round removed, the newer cannot find again."""
    ledger = fanned_out(held(1))
    ledger.fold(GroundEnded(request=FIRST, ended=(held(1),)))
    assert ledger.fold(receipt(FIRST, 1, "orders", erased=5)) == []
    ledger.fold(keys_destroyed(FIRST, 2))
    ledger.fold(receipt(FIRST, 2, "orders", erased=0))
    ledger.fold(receipt(FIRST, 2, "carriers"))
    orders = next(part for part in last(ledger).owners if part.owner == "orders")
    assert (orders.erased, orders.erased_before) == (0, 5)


def test_a_late_answer_of_an_older_round_does_not_stand_for_the_current_one():
    """The owner still owes what it was asked last."""
    ledger = fanned_out(held(1))
    ledger.fold(GroundEnded(request=FIRST, ended=(held(1),)))
    ledger.fold(keys_destroyed(FIRST, 2))
    assert ledger.fold(receipt(FIRST, 1, "orders", erased=5)) == []
    assert set(ledger.state.missing) == set(RULES.owners)
    ledger.fold(receipt(FIRST, 2, "carriers"))
    assert not ledger.certificates


def test_an_owner_that_keeps_what_no_ground_holds_is_not_believed():
    """Only the keyring says what may be kept."""
    ledger = fanned_out(held(1))
    ledger.fold(receipt(FIRST, 1, "orders", retained=(held(2),)))
    assert ledger.state.state is RequestState.INCOMPLETE
    assert ledger.state.owed[-1].doubt == "retained-without-ground"


def test_asking_again_asks_an_unbelieved_owner_again():
    """Once the owner is repaired, a repeated request opens a round."""
    ledger = fanned_out()
    ledger.fold(receipt(FIRST, 1, "carriers"))
    ledger.fold(receipt(FIRST, 1, "orders", erased=0))
    command, progress, joined = ledger.fold(requested(2))
    assert command == Destroy(request=FIRST, round=2)
    assert progress.state is RequestState.INCOMPLETE and joined.joined == FIRST
    ledger.fold(keys_destroyed(FIRST, 2, destroyed=0))
    ledger.fold(receipt(FIRST, 2, "carriers", erased=0))
    ledger.fold(receipt(FIRST, 2, "orders", erased=3))
    assert ledger.state.state is RequestState.CERTIFIED


def test_the_end_of_a_ground_opens_the_next_round_and_supersedes_the_certificate():
    """The newer certificate holds the hash of the older."""
    ledger = certified(held(1), held(2, Category.ACCOUNTING, Ground.STATUTORY))
    command, progress = ledger.fold(GroundEnded(request=FIRST, ended=(held(1),)))
    assert command == Destroy(request=FIRST, round=2)
    assert len(progress.retained) == 1
    rest = (held(2, Category.ACCOUNTING, Ground.STATUTORY),)
    erase, _ = ledger.fold(keys_destroyed(FIRST, 2, rest))
    assert erase == Erase(request=FIRST, round=2, but=rest)
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 2, owner, erased=0, retained=rest))
    first, second = (read_certificate(issued.certificate) for issued in ledger.certificates)
    assert first.supersedes is None and len(first.retained) == 2
    assert second.supersedes is not None and second.round == 2 and len(second.retained) == 1


def test_a_ground_that_ends_while_the_keyring_is_asked_needs_no_round_of_its_own():
    """The keyring's answer comes after it and already knows."""
    ledger = certified(held(1), held(2))
    ledger.fold(GroundEnded(request=FIRST, ended=(held(1),)))
    assert ledger.fold(GroundEnded(request=FIRST, ended=(held(2),))) == []
    ledger.fold(keys_destroyed(FIRST, 2))
    assert ledger.state.round == 2 and not ledger.state.held


def test_a_second_request_joins_the_first_and_is_named_on_the_certificate():
    """Whoever asked second holds another salt."""
    ledger = fanned_out()
    (progress,) = ledger.fold(requested(2))
    assert (progress.request, progress.joined) == (requested(2).request, FIRST)
    assert progress.state is RequestState.FANNED_OUT
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner))
    assert [each.request for each in last(ledger).joined] == [requested(2).request]


def test_a_request_after_certification_gets_a_certificate_that_names_it():
    """The same round, superseding the earlier certificate."""
    ledger = certified()
    issued, again, progress, joined = ledger.fold(requested(2))
    assert (issued.request, again.request) == (FIRST, requested(2).request) and issued.round == 1
    assert issued.certificate == again.certificate
    assert progress.request == FIRST and joined.joined == FIRST and joined.state is RequestState.CERTIFIED
    assert last(ledger).joined and last(ledger).supersedes


def test_a_joined_request_hears_of_every_later_state():
    """Whoever asked second can follow it under an id of their own."""
    ledger = fanned_out()
    ledger.fold(requested(2))
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner))
    told = [event.state.value for event in ledger.progress if event.request == requested(2).request]
    assert told == ["fanned-out", "fanned-out", "certified"]
    assert {each.request for each in ledger.certificates} == {FIRST, requested(2).request}


def test_requests_for_one_subject_are_bounded():
    """A certificate names every request that it answers, so there must be an end to them."""
    ledger = certified()
    for number in range(2, 60):
        ledger.fold(requested(number))
    assert len(ledger.state.joined) == 50


def test_a_request_joins_only_for_its_own_storefront():
    """A storefront touches only its own subjects."""
    ledger = certified()
    foreign = requested(2).model_copy(update={"storefront": "other"})
    with pytest.raises(RejectedRecord, match="subject-foreign"):
        decide(RULES, ledger.state, foreign, given(START))


def test_a_partners_word_supersedes_the_certificate_and_is_called_its_word():
    """A missing acknowledgement is listed, not awaited; a late one is added."""
    copies = (PartnerCopy(partner="swift", revoked=1, acknowledged=0, due_at=START),)
    ledger = fanned_out()
    ledger.fold(receipt(FIRST, 1, "orders"))
    ledger.fold(receipt(FIRST, 1, "carriers", partners=copies))
    (before,) = last(ledger).partners
    assert (before.outstanding, before.due_at) == (1, START)
    assert last(ledger).times.partner_log_clear_at == "not-claimed"
    copies = (PartnerCopy(partner="swift", revoked=1, acknowledged=1),)
    ledger.fold(PartnerAcknowledged(request=FIRST, owner="carriers", partners=copies))
    (after,) = last(ledger).partners
    assert (after.acknowledged, after.outstanding, after.due_at) == (1, 0, None)
    assert last(ledger).round == 1 and len(ledger.certificates) == 2


def test_a_partners_word_before_the_certificate_waits_for_it():
    """Nothing is issued early because a partner was quick."""
    ledger = fanned_out()
    copies = (PartnerCopy(partner="swift", revoked=1, acknowledged=1),)
    assert ledger.fold(PartnerAcknowledged(request=FIRST, owner="carriers", partners=copies)) == []
    for owner in RULES.owners:
        ledger.fold(receipt(FIRST, 1, owner))
    assert last(ledger).partners[0].acknowledged == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (receipt(FIRST, 2, "orders"), "round-unknown"),
        (receipt(FIRST, 1, "mallory"), "owner-unknown"),
        (receipt("f" * 32, 1, "orders"), "request-differs"),
        (keys_destroyed(FIRST, 2), "round-unknown"),
        (PartnerAcknowledged(request=FIRST, owner="mallory", partners=()), "owner-unknown"),
    ],
)
def test_an_answer_that_nobody_asked_for_is_rejected(event, code):
    """It ends as a dead letter with a reason."""
    with pytest.raises(RejectedRecord, match=code):
        decide(RULES, fanned_out().state, event, given(START))


def test_an_answer_for_an_unknown_subject_is_rejected():
    """A receipt without a request is nobody's."""
    with pytest.raises(RejectedRecord, match="request-unknown"):
        decide(RULES, None, receipt(FIRST, 1, "orders"), given(START))


def test_a_receipt_that_its_own_statement_contradicts_is_rejected():
    """What is passed on must be what the keyring signed."""
    ledger = Ledger()
    ledger.fold(requested())
    forged = keys_destroyed(FIRST, 1).model_copy(update={"destroyed": 99})
    with pytest.raises(RejectedRecord, match="statement-differs"):
        decide(RULES, ledger.state, forged, given(START))


def test_progress_is_told_of_every_answer():
    """The storefront sees who is still missing."""
    ledger = certified()
    assert [event.state.value for event in ledger.of(RequestProgressed)] == [
        "verified", "fanned-out", "fanned-out", "certified",
    ]  # fmt: skip
