"""An erasure among answers that nobody should give: twice, out of order, of other rounds, half true (R3).

`test_erasure_interleavings.py` tells the story with honest owners whose messages overtake each other. Here anybody
says anything that keeps its contract, and still no certificate may say more than was answered.
"""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.erasure import (
    CertificateIssued,
    Destroy,
    Erase,
    GroundEnded,
    Held,
    KeysDestroyed,
    PartnerAcknowledged,
    PartnerCopy,
    Receipt,
    RequestState,
)
from schemas.privacy import Category, Event
from services.erasure.certificate import Certificate
from services.erasure.certifying import fingerprint
from services.erasure.rounds import KEYRING
from services.erasure.signing import PublicKey
from services.erasure.verification import Verified, in_order, verify
from tests.fixtures.erasures import (
    CERTIFIER,
    KEYRING_SIGNER,
    OWNERS,
    PATIENCE,
    START,
    Ledger,
    held,
    keys_destroyed,
    receipt,
    requested,
)
from tests.unit.examples import stateful

KEYS = {signer.kid: PublicKey(signer.kid, signer._key.public_key()) for signer in (CERTIFIER, KEYRING_SIGNER)}
FIRST = requested(1).request
PAIRS = (held(1), held(2), held(2, Category.LOGISTICS))
PARTNERS = ("swift", "slow")

pairs = st.lists(st.sampled_from(PAIRS), unique=True, max_size=2).map(tuple)
owners = st.sampled_from(OWNERS)
offsets = st.sampled_from((0, 0, 0, 0, -1, -2, 1))
"""To the current round: mostly an answer is of the round that is asked."""


class Hostile(RuleBasedStateMachine):
    """One subject; whoever answers may be confused, restored from a copy, or worse."""

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger()
        self.asked: list[int] = []
        """Rounds of `Destroy`."""
        self.told: list[int] = []
        """Rounds of `Erase`."""
        self.debts: dict[str, datetime] = {}
        """Since when each owes an answer, counted here from what was said and heard."""
        self.chain: list[Verified] = []
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.cleaned: set[str] = set()
        """Owners that ever said what they removed, and were believed."""
        self.effective: list[Event] = []
        """What was heard and not refused: a refused record is a dead letter, and whoever redrives it means it."""
        self.hear(requested(1))

    # -- what arrives --

    @rule(number=st.integers(1, 4))
    def somebody_asks(self, number: int) -> None:
        self.hear(requested(number))

    @rule(offset=offsets, said=pairs, destroyed=st.integers(0, 3))
    def the_keyring_answers(self, offset: int, said: tuple[Held, ...], destroyed: int) -> None:
        said = tuple(sorted(said, key=lambda each: (each.scope, each.category)))
        self.hear(keys_destroyed(FIRST, max(1, self.round + offset), said, destroyed, self.ledger.at))

    @rule(
        owner=owners,
        offset=offsets,
        honest=st.sampled_from((True, True, True, False)),
        kept=pairs,
        stored=st.booleans(),
        erased=st.integers(0, 2),
        copies=st.integers(0, 2),
    )
    def an_owner_answers(
        self,
        owner: str,
        offset: int,
        honest: bool,
        kept: tuple[Held, ...],
        stored: bool,
        erased: int,
        copies: int,
    ) -> None:
        if honest:
            state = self.ledger.state
            kept, erased = (state.held[:1] if state else ()), max(1, erased)
        said = tuple(self.copy(owner, partner, copies) for partner in PARTNERS[:copies])
        self.hear(
            receipt(
                FIRST, max(1, self.round + offset), owner, stored=stored, erased=erased, retained=kept,
                partners=said, done_at=self.ledger.at,
            )
        )  # fmt: skip

    @rule(said=pairs)
    def everybody_answers(self, said: tuple[Held, ...]) -> None:
        """As it should be: the keyring, then each owner, each for the round that is asked."""
        self.the_keyring_answers(0, said, 1)
        for owner in OWNERS:
            self.an_owner_answers(owner, 0, True, (), True, 1, 0)

    @rule(ended=pairs)
    def grounds_end(self, ended: tuple[Held, ...]) -> None:
        self.hear(GroundEnded(request=FIRST, ended=ended or PAIRS[:1]))

    @rule(owner=owners, partner=st.sampled_from(PARTNERS), acknowledged=st.integers(0, 2))
    def a_partner_is_heard(self, owner: str, partner: str, acknowledged: int) -> None:
        said = PartnerAcknowledged(
            request=FIRST, owner=owner, partners=(self.copy(owner, partner, acknowledged),)
        )
        self.hear(said)

    @rule(wrong=st.sampled_from(("owner", "request")), owner=owners)
    def a_stranger_answers(self, wrong: str, owner: str) -> None:
        before = self.ledger.state
        name, request = ("stranger", FIRST) if wrong == "owner" else (owner, "f" * 32)
        self.hear(receipt(request, self.round, name))
        assert self.ledger.state == before

    @rule(seconds=st.sampled_from((1, 20, 40)))
    def time_passes(self, seconds: int) -> None:
        self.route(self.ledger.pass_time(seconds))
        late = [owner for owner, since in self.debts.items() if since + PATIENCE <= self.ledger.at]
        if late and not self.ledger.due:
            assert self.ledger.state is not None and self.ledger.state.state is RequestState.INCOMPLETE

    @rule(data=st.data())
    def an_earlier_stretch_comes_again(self, data: st.DataObject) -> None:
        """It changes nothing, and nothing is said twice: no command, no progress, no certificate."""
        start = data.draw(st.integers(0, len(self.effective) - 1))
        before = self.ledger.state
        for event in self.effective[start : start + data.draw(st.integers(1, 6))]:
            assert self.ledger.fold(event) == []
        assert self.ledger.state == before

    # -- what follows --

    @property
    def round(self) -> int:
        return self.ledger.state.round if self.ledger.state else 1

    def copy(self, owner: str, partner: str, acknowledged: int) -> PartnerCopy:
        return PartnerCopy(
            partner=partner, revoked=2, acknowledged=acknowledged, due_at=START + timedelta(days=3), log_clear_at=None
        )  # fmt: skip

    def hear(self, event: Event) -> None:
        before = self.ledger.state
        spoken = self.ledger.fold(event)
        after = self.ledger.state
        assert after is not None
        if after != before or spoken:
            self.effective.append(event)
        for owner in (KEYRING, *OWNERS):
            answered = before is not None and owner in before.missing and owner not in after.missing
            if answered:
                self.check_answered(owner, event)
                self.debts.pop(owner)
            late = isinstance(event, Receipt) and event.round < after.round and after != before
            if (answered or late) and isinstance(event, Receipt) and event.erased:
                self.cleaned.add(event.owner)
        if after.partners != (before.partners if before else ()):
            self.count(event)
        self.route(spoken)

    def check_answered(self, owner: str, event: Event) -> None:
        """A debt is paid by its owner's own answer to the round that was asked, and by nothing else."""
        if owner == KEYRING:
            assert isinstance(event, KeysDestroyed) and event.round == self.asked[-1]
        else:
            assert isinstance(event, Receipt) and event.owner == owner
            assert event.round == self.told[-1] == self.asked[-1]
            assert {f"{each.scope}/{each.category}" for each in event.retained} <= self.excepted()
            found = event.erased or event.retained or event.partners
            assert found or not event.stored or owner in self.cleaned, "looked under the wrong id"

    def excepted(self) -> set[str]:
        assert self.ledger.state is not None
        return {f"{each.scope}/{each.category}" for each in self.ledger.state.held}

    def count(self, event: Event) -> None:
        assert isinstance(event, Receipt | PartnerAcknowledged)
        for copy in event.partners:
            name = (event.owner, copy.partner)
            self.acknowledged[name] = max(self.acknowledged.get(name, 0), copy.acknowledged)

    def route(self, spoken: list[Any]) -> None:
        for event in spoken:
            if isinstance(event, Destroy):
                self.asked.append(event.round)
                self.debts.setdefault(KEYRING, self.ledger.at)
            elif isinstance(event, Erase):
                self.told.append(event.round)
                assert event.round == self.asked[-1], "owners are told when the keys of this round are gone"
                for owner in OWNERS:
                    self.debts.setdefault(owner, self.ledger.at)
            elif isinstance(event, CertificateIssued) and event.request == FIRST:
                self.check(event.certificate)

    def check(self, signed: str) -> None:
        """A certificate: true alone, and the next of its chain."""
        verified = verify(signed, KEYS)
        certificate: Certificate = verified.certificate
        assert certificate.supersedes == (fingerprint(self.chain[-1].signed) if self.chain else None)
        assert not self.debts, "somebody has not answered"
        assert certificate.round == self.asked[-1] == self.told[-1]
        assert {part.owner for part in certificate.owners} == set(OWNERS)
        assert all(part.round == certificate.round for part in self.ledger.state.answers)  # type: ignore[union-attr]
        self.chain.append(verified)

    # -- what always holds --

    @invariant()
    def rounds_follow_each_other(self) -> None:
        for rounds in (self.asked, self.told) if hasattr(self, "asked") else ():
            assert sorted(set(rounds)) == rounds
        if hasattr(self, "asked"):
            assert self.asked == list(range(1, len(self.asked) + 1)) and set(self.told) <= set(self.asked)

    @invariant()
    def complete_means_that_nobody_owes(self) -> None:
        state = self.ledger.state if hasattr(self, "ledger") else None
        if state is not None:
            assert set(state.missing) == set(self.debts)
            assert (state.state is RequestState.CERTIFIED) == (not self.debts)
            if not self.debts:
                assert state.certificate == fingerprint(self.chain[-1].signed)
                assert {each.request for each in self.ledger.certificates} >= set(state.requests)

    @invariant()
    def an_old_debt_keeps_its_date(self) -> None:
        state = self.ledger.state if hasattr(self, "ledger") else None
        for owed in state.owed if state else ():
            assert owed.since == self.debts[owed.owner], "neither forgiven nor counted anew"

    @invariant()
    def a_partners_word_only_grows(self) -> None:
        state = self.ledger.state if hasattr(self, "ledger") else None
        for word in state.partners if state else ():
            assert word.acknowledged == self.acknowledged[word.owner, word.partner]

    def teardown(self) -> None:
        """What was issued is one chain without a gap, whoever looks at it later."""
        if getattr(self, "chain", None):
            assert in_order(self.chain[::-1]) == self.chain


TestHostile = Hostile.TestCase
TestHostile.settings = stateful(100, 30)
