"""What may happen to a shipment and to the carrier's copy, pair by pair of stage and event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas.deliveries import CopyForgotten, ParcelTracked, TrackingStatus
from schemas.partners import CopyErased, CopyRevoked, ParcelReported, RevocationReason
from schemas.privacy import Sealed
from schemas.shipments import Service, ShipmentCancelled, ShipmentClosed, ShipmentRequested
from services.dispatch.agreements import Agreement
from services.dispatch.domain import Copy, Partner, Stage, Terms, decide, erase, hour_after, report
from services.dispatch.events import AcknowledgementMissed, AgreementEnded, LabelDue, ShipmentRetried
from services.kernel.decision import Given
from services.kernel.errors import RejectedRecord

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = Terms(retry_held=timedelta(seconds=30), acknowledge_within=7 * DAY, revoke_again=2 * DAY)
ORDER, SUBJECT, STRANGER, REFERENCE, REQUEST = "a" * 32, "b" * 32, "c" * 32, "d" * 32, "e" * 32
KEY = '{"crv": "P-256", "kid": "k", "kty": "EC", "x": "x", "y": "y"}'
SWIFT = Partner("swift", KEY, (Agreement("ab" * 32, ("name", "postal_code"), NOON - DAY, NOON + 30 * DAY),))
NOBODY, REGISTRY = {}, {"swift": SWIFT}


def given(subject=SUBJECT, at=NOON, fresh=REFERENCE):
    return Given(id="cause", subject=subject, source="/workers/orders", at=at, fresh=fresh)


ADDRESS = Sealed(f"aGVhZGVy..{'n' * 16}.address.{'t' * 22}")
REQUESTED = ShipmentRequested(order=ORDER, carrier="swift", service=Service.STANDARD, ship_to=ADDRESS)
CANCELLED, CLOSED = ShipmentCancelled(order=ORDER), ShipmentClosed(order=ORDER)
TRACKED = ParcelTracked(order=ORDER, status=TrackingStatus.DELIVERED)
FORGOTTEN = CopyForgotten(order=ORDER, partner="swift", reference=REFERENCE)
RETRIED, ENDED = ShipmentRetried(order=ORDER), AgreementEnded(order=ORDER)
MISSED = AcknowledgementMissed(order=ORDER)


def told(*events, registry=REGISTRY):
    shipment, decision = None, None
    for event in events:
        decision = decide(TERMS, registry, shipment, event, given())
        shipment = decision.state
    return decision


STANDING = {
    "unknown": None,
    "held": told(REQUESTED, registry=NOBODY).state,
    "offered": told(REQUESTED).state,
    "revoked": told(REQUESTED, CLOSED).state,
    "forgotten": told(REQUESTED, CLOSED, FORGOTTEN).state,
    "dropped": decide(TERMS, NOBODY, told(REQUESTED, registry=NOBODY).state, CANCELLED, given()).state,
}
EVENTS = {
    "requested": REQUESTED,
    "cancelled": CANCELLED,
    "closed": CLOSED,
    "tracked": TRACKED,
    "forgotten": FORGOTTEN,
    "retried": RETRIED,
    "ended": ENDED,
    "missed": MISSED,
}
# Rows: where a shipment stands. `=` changes and says nothing, anything else is the next stage. An agreement is valid.
TABLE = """
           requested  cancelled  closed   tracked  forgotten  retried  ended    missed
unknown    offered    =          =        =        =          =        =        =
held       =          dropped    dropped  =        =          offered  =        =
offered    =          revoked    revoked  =        forgotten  =        offered  =
revoked    =          =          =        =        forgotten  =        =        revoked
forgotten  =          =          =        =        =          =        =        =
dropped    =          =          =        =        =          =        =        =
"""
_LINES = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(row[0], event, cell) for row in _LINES[1:] for event, cell in zip(_LINES[0], row[1:], strict=True)]


@pytest.mark.parametrize(("stage", "event", "expected"), PAIRS)
def test_every_pair_of_stage_and_event_is_decided(stage, event, expected):
    before = STANDING[stage]
    decision = decide(TERMS, REGISTRY, before, EVENTS[event], given())
    if expected == "=":
        assert (decision.state, decision.outgoing, decision.timers) == (before, (), ())
    else:
        assert decision.state.stage is Stage(expected)
        assert decision.outgoing or decision.timers or decision.state != before


def test_an_offer_names_reference_and_fields_and_is_opened_only_when_it_leaves():
    decision = told(REQUESTED)
    (offer,) = decision.outgoing
    assert (offer.topic, offer.key, offer.partner) == ("partner.swift.shipments", REFERENCE, "swift")
    assert offer.subject == SUBJECT
    label = offer.event
    assert isinstance(label, LabelDue)
    assert (label.ship_to, label.fields, label.key) == (ADDRESS, ("name", "postal_code"), KEY)
    assert label.place("ship_to") == REQUESTED.place("ship_to")
    assert decision.state.ship_to is None, "the address is kept no longer than it is needed"


def test_what_the_partner_can_see_of_an_offer_holds_no_subject_and_no_order():
    (offer,) = told(REQUESTED).outgoing
    (revocation,) = told(REQUESTED, CANCELLED).outgoing
    for each in (offer, revocation):
        assert SUBJECT not in each.key + each.topic + str(dict(each.headers))
        assert ORDER not in each.key + each.topic + str(dict(each.headers))


def test_without_a_valid_agreement_nothing_is_sent_and_the_shipment_waits_visibly():
    ended = Partner("swift", KEY, (Agreement("ab" * 32, ("name",), NOON - 2 * DAY, NOON),))
    for registry, code in (
        (NOBODY, "partner-unknown"),
        ({"swift": Partner("swift", KEY)}, "agreement-missing"),
        ({"swift": ended}, "agreement-ended"),
    ):
        decision = told(REQUESTED, registry=registry)
        assert decision.outgoing == ()
        assert (decision.state.stage, decision.state.code, decision.state.ship_to) == (
            Stage.HELD,
            code,
            ADDRESS,
        )
        (timer,) = decision.timers
        assert (timer.event, timer.after) == (RETRIED, TERMS.retry_held)


def test_a_held_shipment_leaves_when_an_agreement_appears_and_waits_on_while_none_does():
    held = told(REQUESTED, registry=NOBODY).state
    still = decide(TERMS, NOBODY, held, RETRIED, given())
    assert (still.state, still.outgoing, len(still.timers)) == (held, (), 1)
    assert decide(TERMS, REGISTRY, held, RETRIED, given()) == told(REQUESTED)


def test_a_held_shipment_that_ends_leaves_no_address_behind():
    dropped = STANDING["dropped"]
    assert (dropped.stage, dropped.ship_to, dropped.reference) == (Stage.DROPPED, None, None)


@pytest.mark.parametrize(
    ("event", "reason"), [(CANCELLED, RevocationReason.CANCELLED), (CLOSED, RevocationReason.COMPLETED)]
)
def test_the_end_of_an_order_revokes_the_copy(event, reason):
    decision = told(REQUESTED, event)
    (revocation,) = decision.outgoing
    assert (revocation.topic, revocation.key) == ("partner.swift.shipments", REFERENCE)
    assert (revocation.event, revocation.type) == (None, CopyRevoked.type)
    assert (dict(revocation.headers), revocation.partner) == ({"reason": reason}, None)
    assert decision.state.due_at == datetime(2026, 11, 30, 13, tzinfo=UTC)
    (timer,) = decision.timers
    assert (timer.event, timer.after) == (MISSED, TERMS.revoke_again)


def test_the_end_of_the_agreement_revokes_the_copy_unless_another_one_has_taken_over():
    offered = told(REQUESTED)
    (timer,) = offered.timers
    assert (timer.event, timer.after) == (ENDED, 30 * DAY)
    late = given(at=NOON + 30 * DAY)
    (revocation,) = decide(TERMS, REGISTRY, offered.state, ENDED, late).outgoing
    assert revocation.headers["reason"] == RevocationReason.AGREEMENT_ENDED
    longer = replace(SWIFT, agreements=(replace(SWIFT.agreements[0], valid_to=NOON + 60 * DAY),))
    decision = decide(TERMS, {"swift": longer}, offered.state, ENDED, late)
    assert (decision.state, decision.outgoing) == (offered.state, ())
    assert decision.timers[0].after == 30 * DAY


def test_a_revocation_is_sent_again_until_it_is_acknowledged():
    revoked = STANDING["revoked"]
    again = decide(TERMS, REGISTRY, revoked, MISSED, given())
    assert (again.state, again.outgoing) == (revoked, told(REQUESTED, CLOSED).outgoing)
    assert again.timers == told(REQUESTED, CLOSED).timers
    acknowledged = decide(TERMS, REGISTRY, revoked, FORGOTTEN, given()).state
    assert acknowledged.stage is Stage.FORGOTTEN
    assert decide(TERMS, REGISTRY, acknowledged, MISSED, given()).outgoing == ()


def test_the_word_for_another_reference_is_not_the_word_for_this_one():
    other = CopyForgotten(order=ORDER, partner="swift", reference="9" * 32)
    assert decide(TERMS, REGISTRY, STANDING["revoked"], other, given()).state == STANDING["revoked"]


def test_an_order_of_another_person_is_refused():
    with pytest.raises(RejectedRecord) as refused:
        decide(TERMS, REGISTRY, STANDING["offered"], REQUESTED, given(STRANGER))
    assert refused.value.code == "shipment-foreign"


def test_times_in_rows_are_full_hours_never_too_early():
    assert hour_after(NOON) == datetime(2026, 11, 23, 13, tzinfo=UTC)
    assert hour_after(NOON.replace(minute=0)) == NOON.replace(minute=0)
    assert STANDING["offered"].log_clear_at == datetime(2026, 11, 26, 14, tzinfo=UTC)


@pytest.mark.parametrize("stage", ["held", "dropped"])
def test_erasing_what_no_partner_has_seen_leaves_nothing(stage):
    decision = erase(TERMS, STANDING[stage], REQUEST, NOON)
    assert (decision.state, decision.outgoing) == (None, ())


def test_erasing_an_offered_shipment_revokes_and_keeps_what_the_acknowledgement_needs():
    decision = erase(TERMS, STANDING["offered"], REQUEST, NOON)
    (revocation,) = decision.outgoing
    assert revocation.headers["reason"] == RevocationReason.ERASED
    left = decision.state
    assert (left.stage, left.reference, left.partner, left.request) == (
        Stage.REVOKED,
        REFERENCE,
        "swift",
        REQUEST,
    )
    assert (left.service, left.ship_to, left.code) == (None, None, None)


def test_erasing_what_was_revoked_before_waits_on_without_telling_twice():
    decision = erase(TERMS, STANDING["revoked"], REQUEST, NOON)
    assert (decision.state.stage, decision.state.reference, decision.outgoing) == (
        Stage.REVOKED,
        REFERENCE,
        (),
    )
    assert decision.state.reason is RevocationReason.COMPLETED
    assert [timer.event for timer in decision.timers] == [MISSED]


def test_once_acknowledged_the_reference_of_an_erased_person_is_gone():
    erased = erase(TERMS, STANDING["offered"], REQUEST, NOON).state
    acknowledged = decide(TERMS, REGISTRY, erased, FORGOTTEN, given()).state
    assert (acknowledged.stage, acknowledged.reference, acknowledged.request) == (
        Stage.FORGOTTEN,
        None,
        REQUEST,
    )
    assert erase(TERMS, STANDING["forgotten"], REQUEST, NOON).state.reference is None


def test_a_further_round_changes_nothing_but_the_request():
    erased = erase(TERMS, STANDING["offered"], REQUEST, NOON).state
    again = erase(TERMS, erased, "f" * 32, NOON + DAY)
    assert (again.state, again.outgoing, again.timers) == (replace(erased, request="f" * 32), (), ())


COPY = Copy(REFERENCE, "swift", SUBJECT, ORDER)
REPORTED = ParcelReported(reference=REFERENCE, status=TrackingStatus.DELIVERED)
ERASED = CopyErased(reference=REFERENCE)


def test_a_partners_update_is_given_back_to_the_subject_whose_parcel_it_is():
    (tracked,) = report(COPY, "swift", REPORTED)
    (forgotten,) = report(COPY, "swift", ERASED)
    assert (tracked.topic, tracked.key, tracked.event) == ("deliveries", SUBJECT, TRACKED)
    assert (forgotten.topic, forgotten.key, forgotten.event) == ("deliveries", SUBJECT, FORGOTTEN)


@pytest.mark.parametrize("event", [REPORTED, ERASED])
@pytest.mark.parametrize(
    ("copy", "partner", "code"),
    [(None, "swift", "reference-unknown"), (COPY, "other", "reference-foreign")],
)
def test_an_update_for_no_parcel_or_another_partners_is_refused(copy, partner, code, event):
    with pytest.raises(RejectedRecord) as refused:
        report(copy, partner, event)
    assert refused.value.code == code


def test_a_partner_who_repeats_itself_after_all_is_forgotten_says_nothing():
    assert report(Copy(REFERENCE, "swift"), "swift", ERASED) == ()
