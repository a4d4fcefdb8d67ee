"""What the ledger knows of one person's erasure. Pure.

A request goes through rounds. A round asks the keyring first and then every owner; it ends when all have
answered. The end of a ground opens the next round, which replaces the last: nobody waits for older answers.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from schemas.erasure import Held, PartnerCopy, Receipt, RequestState

KEYRING = "keyring"
"""Owes its receipt before anybody else is asked."""


class LedgerPart(BaseModel):
    """Base of what is stored about a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Joined(LedgerPart):
    """A later request for the same subject."""

    request: str
    commitment: str


class Owed(LedgerPart):
    """An answer that somebody owes."""

    owner: str
    since: AwareDatetime
    """When it was first asked without having answered in full since; a new round does not start this anew."""
    overdue: bool = False
    doubt: str = ""
    """Why an answer that did come is not believed."""


class Keys(LedgerPart):
    """What the keyring said in the current round."""

    destroyed: int
    destroyed_at: AwareDatetime
    unreadable_at: AwareDatetime
    statement: str


class Answer(LedgerPart):
    """What an owner did: in the round it answered last, and in all rounds before."""

    owner: str
    round: int
    stored: bool
    erased: int
    anonymised: int
    retained: int
    done_at: AwareDatetime
    erased_before: int = 0
    anonymised_before: int = 0

    @property
    def cleaned(self) -> bool:
        """Whether the owner ever removed anything of the subject."""
        return self.erased + self.anonymised + self.erased_before + self.anonymised_before > 0


class Told(LedgerPart):
    """The last word of one partner, as an owner handed it on; counts only ever grow."""

    owner: str
    partner: str
    revoked: int
    acknowledged: int
    due_at: AwareDatetime | None
    log_clear_at: AwareDatetime | None


class Erasure(LedgerPart):
    """One person's erasure, under the request that came first."""

    request: str
    storefront: str
    commitment: str
    policy: str
    verified_at: AwareDatetime
    joined: tuple[Joined, ...] = ()
    round: int = 1
    owed: tuple[Owed, ...] = ()
    keys: Keys | None = None
    """None until the keyring has answered the current round."""
    held: tuple[Held, ...] = ()
    ended: frozenset[str] = frozenset()
    """Pairs whose ground has ended; each can only end once."""
    answers: tuple[Answer, ...] = ()
    partners: tuple[Told, ...] = ()
    certificate: str | None = None
    """SHA-256 of the newest certificate."""

    @property
    def state(self) -> RequestState:
        """Where the request stands."""
        if any(owed.overdue for owed in self.owed):
            return RequestState.INCOMPLETE
        if self.keys is None:
            return RequestState.VERIFIED
        return RequestState.FANNED_OUT if self.owed else RequestState.CERTIFIED

    @property
    def requests(self) -> tuple[str, ...]:
        """Every request that this one answers for, the first one first."""
        return (self.request, *(joined.request for joined in self.joined))

    @property
    def missing(self) -> tuple[str, ...]:
        """Who owes an answer."""
        return tuple(owed.owner for owed in self.owed)

    @property
    def missing_since(self) -> datetime | None:
        """Since when the longest silent one owes it."""
        return min((owed.since for owed in self.owed), default=None)

    def answer_of(self, owner: str) -> Answer | None:
        """Return what an owner answered last, None when it never did."""
        return next((answer for answer in self.answers if answer.owner == owner), None)


def opened(erasure: Erasure, at: datetime, patience: timedelta) -> Erasure:
    """Return the next round, waiting for the keyring; who has not answered the last one still owes."""
    return erasure.model_copy(
        update={
            "round": erasure.round + 1,
            "keys": None,
            "owed": asked(erasure, (KEYRING, *erasure.missing), at, patience),
        }
    )


def asked(erasure: Erasure, owners: Iterable[str], at: datetime, patience: timedelta) -> tuple[Owed, ...]:
    """Return who owes an answer when these are asked now; old debts keep their date and are not forgiven."""
    old = {owed.owner: owed for owed in erasure.owed}
    fresh = {owner: Owed(owner=owner, since=at) for owner in owners}
    owed = tuple(old.get(owner, new).model_copy(update={"doubt": ""}) for owner, new in fresh.items())
    return _marked(owed, at, patience)


def overdue(erasure: Erasure, at: datetime, patience: timedelta) -> Erasure:
    """Return the request with everybody marked who has been silent for too long."""
    return erasure.model_copy(update={"owed": _marked(erasure.owed, at, patience)})


def _marked(owed: tuple[Owed, ...], at: datetime, patience: timedelta) -> tuple[Owed, ...]:
    return tuple(
        each.model_copy(update={"overdue": True}) if each.since + patience <= at else each for each in owed
    )


def ended(erasure: Erasure, pairs: frozenset[str]) -> Erasure:
    """Return the request with these pairs held by nothing any more."""
    held = tuple(each for each in erasure.held if pair(each) not in pairs)
    return erasure.model_copy(update={"ended": erasure.ended | pairs, "held": held})


def pair(held: Held) -> str:
    """Return the name of a held pair."""
    return f"{held.scope}/{held.category}"


def doubt(erasure: Erasure, receipt: Receipt) -> str:
    """Return why an answer cannot be true, empty when it can.

    An owner that stored something for the subject and now finds nothing has looked under the wrong id, unless
    it names what it cleaned up earlier; one that keeps what no ground holds has not erased.
    """
    excepted = {pair(held) for held in erasure.held}
    if any(pair(held) not in excepted for held in receipt.retained):
        return "retained-without-ground"
    found = receipt.erased + receipt.anonymised + len(receipt.retained)
    earlier = erasure.answer_of(receipt.owner)
    named = (earlier is not None and earlier.cleaned) or any(copy.revoked for copy in receipt.partners)
    return "nothing-found" if receipt.stored and not found and not named else ""


def doubted(erasure: Erasure, owner: str, code: str) -> Erasure:
    """Return the request with an owner's answer refused: it stays owed, and at once overdue."""
    owed = tuple(
        each.model_copy(update={"overdue": True, "doubt": code}) if each.owner == owner else each
        for each in erasure.owed
    )
    return erasure.model_copy(update={"owed": owed})


def answered(erasure: Erasure, receipt: Receipt) -> Erasure:
    """Return the request with an answer recorded, and no longer owed if it is of the current round."""
    last = erasure.answer_of(receipt.owner)
    answer = Answer(
        owner=receipt.owner,
        round=receipt.round,
        stored=receipt.stored,
        erased=receipt.erased,
        anonymised=receipt.anonymised,
        retained=len(receipt.retained),
        done_at=receipt.done_at,
        erased_before=last.erased_before + last.erased if last else 0,
        anonymised_before=last.anonymised_before + last.anonymised if last else 0,
    )
    others = [each for each in erasure.answers if each.owner != receipt.owner]
    current = receipt.round == erasure.round
    return told(erasure, receipt.owner, receipt.partners).model_copy(
        update={
            "answers": tuple(sorted([*others, answer], key=lambda each: each.owner)),
            "owed": tuple(owed for owed in erasure.owed if not current or owed.owner != receipt.owner),
        }
    )


def told(erasure: Erasure, owner: str, copies: Iterable[PartnerCopy]) -> Erasure:
    """Return the request with what partners said merged in; an older word changes nothing."""
    known = {(each.owner, each.partner): each for each in erasure.partners}
    for copy in copies:
        word = Told(owner=owner, **copy.model_dump())
        key = (owner, copy.partner)
        known[key] = _later(known[key], word) if key in known else word
    return erasure.model_copy(update={"partners": tuple(known[key] for key in sorted(known))})


def _later(one: Told, other: Told) -> Told:
    """Return the join of two words of one partner: the same whichever came first, or twice."""
    return one.model_copy(
        update={
            "revoked": max(one.revoked, other.revoked),
            "acknowledged": max(one.acknowledged, other.acknowledged),
            "due_at": _latest(one.due_at, other.due_at),
            "log_clear_at": _latest(one.log_clear_at, other.log_clear_at),
        }
    )


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
