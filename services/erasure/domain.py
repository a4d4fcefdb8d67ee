"""What follows from a request and from every answer to it. Pure: even the signature is a function.

    requested ──> Destroy ──> keys destroyed ──> Erase ──> every owner answered ──> certificate
                     ^                                                                  │
                     └──────────────── a ground ended: the next round ──────────────────┘

A record folded again, alone or within any earlier stretch, changes nothing and says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from schemas.erasure import (
    CertificateIssued,
    Destroy,
    Erase,
    ErasureEvent,
    ErasureRequested,
    GroundEnded,
    KeysDestroyed,
    PartnerAcknowledged,
    Receipt,
    RequestProgressed,
)
from schemas.privacy import Event
from schemas.topics import CERTIFICATES, COMMANDS
from services.erasure.certificate import Certificate
from services.erasure.certifying import contents, fingerprint
from services.erasure.rounds import (
    KEYRING,
    Erasure,
    Joined,
    Keys,
    Owed,
    answered,
    asked,
    doubt,
    doubted,
    ended,
    opened,
    overdue,
    pair,
    told,
)
from services.erasure.statement import disagreement
from services.kernel.decision import Decision, Given, Outgoing, Timer
from services.kernel.errors import RejectedRecord

MOST_JOINED = 50
"""Further requests for the same subject are refused: a certificate names every request that it answers."""


class AnswersDue(ErasureEvent):
    """Timer: whoever has not answered by now is missing."""

    type: ClassVar[str] = "lethe.erasure.answers-due.v1"


@dataclass(frozen=True)
class Rules:
    """What decisions depend on beside state and event; the same for the life of the process."""

    owners: tuple[str, ...]
    registry: str
    """Version of the owner registry."""
    patience: timedelta
    """How long an answer may take before the request counts as incomplete."""
    sign: Callable[[Certificate], str]
    """Return the certificate as a compact JWS; deterministic (Ed25519)."""


def decide(rules: Rules, erasure: Erasure | None, event: ErasureEvent, given: Given) -> Decision[Erasure]:
    """Return where the request stands now, and what others must hear."""
    step = _Step(rules, given)
    match erasure, event:
        case None, ErasureRequested():
            return step.begin(event)
        case None, _:
            raise RejectedRecord(code="request-unknown")
        case Erasure(), ErasureRequested():
            return step.join(erasure, event)
        case Erasure(request=request), _ if request != event.request:
            raise RejectedRecord(code="request-differs")
        case Erasure(), KeysDestroyed():
            return step.fan_out(erasure, event)
        case Erasure(), Receipt():
            return step.take(erasure, event)
        case Erasure(), GroundEnded():
            return step.end_ground(erasure, event)
        case Erasure(), PartnerAcknowledged():
            return step.hear_partner(erasure, event)
        case Erasure(), AnswersDue():
            return step.remind(erasure)
        case _:
            raise RejectedRecord(code="event-unexpected")


@dataclass(frozen=True)
class _Step:
    """One decision: the branches of `decide`, with what they all need at hand."""

    rules: Rules
    given: Given

    @property
    def at(self) -> datetime:
        return self.given.at

    def begin(self, event: ErasureRequested) -> Decision[Erasure]:
        erasure = Erasure(
            request=event.request,
            storefront=event.storefront,
            commitment=event.commitment,
            policy=self.given.policy,
            verified_at=self.at,
            owed=(Owed(owner=KEYRING, since=self.at),),
        )
        return self._ask_keyring(erasure)

    def join(self, erasure: Erasure, event: ErasureRequested) -> Decision[Erasure]:
        """Answer a later request with the first one's progress; ask all again where an answer was doubted."""
        if event.request in erasure.requests:
            return Decision(erasure)
        if event.storefront != erasure.storefront:
            raise RejectedRecord(code="subject-foreign")
        if len(erasure.joined) >= MOST_JOINED:
            raise RejectedRecord(code="too-many-requests")
        newcomer = Joined(request=event.request, commitment=event.commitment)
        erasure = erasure.model_copy(update={"joined": (*erasure.joined, newcomer)})
        if any(owed.doubt for owed in erasure.owed):
            return self._ask_keyring(opened(erasure, self.at, self.rules.patience))
        if erasure.owed:
            return Decision(erasure, (self._progress(erasure, event.request),))
        # Whoever asked second holds another salt, so the certificate must name that commitment too.
        return self._certify(erasure)

    def fan_out(self, erasure: Erasure, event: KeysDestroyed) -> Decision[Erasure]:
        if event.round > erasure.round:
            raise RejectedRecord(code="round-unknown")
        if event.round < erasure.round or erasure.keys is not None:
            return Decision(erasure)
        if code := disagreement(event):
            raise RejectedRecord(code=code)
        keys = Keys(
            destroyed=event.destroyed,
            destroyed_at=event.destroyed_at,
            unreadable_at=event.unreadable_at,
            statement=event.statement,
        )
        owed = asked(erasure, self.rules.owners, self.at, self.rules.patience)
        erasure = erasure.model_copy(update={"keys": keys, "held": event.held, "owed": owed})
        if not owed:
            return self._certify(erasure)
        command = Erase(request=erasure.request, round=erasure.round, but=erasure.held)
        return Decision(
            erasure, (self._command(command), *self._tell(erasure)), (self._answers_due(erasure),)
        )

    def take(self, erasure: Erasure, receipt: Receipt) -> Decision[Erasure]:
        """Record an owner's answer; the last one owed brings about the certificate."""
        if receipt.owner not in self.rules.owners:
            raise RejectedRecord(code="owner-unknown")
        if receipt.round > erasure.round or (receipt.round == erasure.round and erasure.keys is None):
            raise RejectedRecord(code="round-unknown")
        last = erasure.answer_of(receipt.owner)
        if last is not None and receipt.round <= last.round:
            return Decision(erasure)
        if receipt.round < erasure.round:
            # Too late for its round, yet it says what was cleaned up: the next answer may rightly be empty.
            worked = receipt.erased + receipt.anonymised > 0
            return Decision(answered(erasure, receipt) if worked else erasure)
        if code := doubt(erasure, receipt):
            return self._announce(erasure, doubted(erasure, receipt.owner, code))
        erasure = answered(erasure, receipt)
        return Decision(erasure, self._tell(erasure)) if erasure.owed else self._certify(erasure)

    def end_ground(self, erasure: Erasure, event: GroundEnded) -> Decision[Erasure]:
        """Open the next round, unless the keyring has yet to answer this one: its answer will know."""
        news = frozenset(pair(held) for held in event.ended) - erasure.ended
        if not news:
            return Decision(erasure)
        erasure = ended(erasure, news)
        if erasure.keys is None:
            return Decision(erasure)
        return self._ask_keyring(opened(erasure, self.at, self.rules.patience))

    def hear_partner(self, erasure: Erasure, event: PartnerAcknowledged) -> Decision[Erasure]:
        """List a partner's word; a certificate that was issued without it is superseded."""
        if event.owner not in self.rules.owners:
            raise RejectedRecord(code="owner-unknown")
        heard = told(erasure, event.owner, event.partners)
        return Decision(heard) if heard == erasure or heard.owed else self._certify(heard)

    def remind(self, erasure: Erasure) -> Decision[Erasure]:
        """Mark whoever has been silent for too long; a timer of an older round finds nobody who has not."""
        return self._announce(erasure, overdue(erasure, self.at, self.rules.patience))

    def _announce(self, before: Erasure, after: Erasure) -> Decision[Erasure]:
        return Decision(after, self._tell(after)) if after != before else Decision(before)

    def _ask_keyring(self, erasure: Erasure) -> Decision[Erasure]:
        command = Destroy(request=erasure.request, round=erasure.round)
        return Decision(
            erasure, (self._command(command), *self._tell(erasure)), (self._answers_due(erasure),)
        )

    def _certify(self, erasure: Erasure) -> Decision[Erasure]:
        signed = self.rules.sign(contents(erasure, self.at, self.rules.registry, self.rules.owners))
        certified = erasure.model_copy(update={"certificate": fingerprint(signed)})
        issued = (
            self._publish(CertificateIssued(request=request, round=erasure.round, certificate=signed))
            for request in erasure.requests
        )
        return Decision(certified, (*issued, *self._tell(certified)))

    def _tell(self, erasure: Erasure) -> tuple[Outgoing, ...]:
        """Say where it stands, under the id of every request that it answers."""
        return tuple(self._progress(erasure, request) for request in erasure.requests)

    def _progress(self, erasure: Erasure, request: str) -> Outgoing:
        return self._publish(
            RequestProgressed(
                request=request,
                joined=erasure.request if request != erasure.request else None,
                state=erasure.state,
                round=erasure.round,
                missing=erasure.missing,
                missing_since=erasure.missing_since,
                retained=erasure.held,
                unreadable_at=erasure.keys.unreadable_at if erasure.keys else None,
            )
        )

    def _answers_due(self, erasure: Erasure) -> Timer:
        return Timer(AnswersDue(request=erasure.request), self.rules.patience)

    def _command(self, event: Event) -> Outgoing:
        return Outgoing(COMMANDS.name, self.given.subject, event)

    def _publish(self, event: Event) -> Outgoing:
        return Outgoing(CERTIFICATES.name, self.given.subject, event)
