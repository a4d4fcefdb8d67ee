"""Whatever arrives when, twice or late: the certificate never says more than is true (R3)."""

from collections import deque

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.erasure import CertificateIssued, Destroy, Erase, KeysDestroyed, Receipt, RequestState
from schemas.privacy import Category
from services.erasure.certifying import fingerprint
from services.erasure.signing import PublicKey
from services.erasure.verification import verify
from tests.fixtures.erasures import CERTIFIER, KEYRING_SIGNER, OWNERS, Keyring, Ledger, Owner, held, requested

KEYS = {
    signer.kid: PublicKey(signer.kid, signer._key.public_key())
    for signer in (CERTIFIER, KEYRING_SIGNER)
}  # fmt: skip
PAIRS = {f"{each.scope}/{each.category}": each for each in (held(1), held(2), held(2, Category.LOGISTICS))}


class Erasing(RuleBasedStateMachine):
    """One subject, a keyring, two owners and a partner; every queue keeps its own order and no other."""

    @initialize(
        pairs=st.sets(st.sampled_from(sorted(PAIRS))),
        stored=st.tuples(st.booleans(), st.booleans()),
        copies=st.integers(0, 2),
    )
    def begin(self, pairs: set[str], stored: tuple[bool, bool], copies: int) -> None:
        self.ledger = Ledger()
        self.requests = deque([requested(1)])
        self.keyring = Keyring({name: PAIRS[name] for name in pairs})
        self.owners = [
            Owner(name, {*pairs, "loose/row"} if has else set(), has, copies if name == "carriers" else 0)
            for name, has in zip(OWNERS, stored, strict=True)
        ]
        self.rounds: list[int] = []
        self.superseded: str | None = None

    @rule(number=st.integers(1, 4))
    def somebody_asks(self, number: int) -> None:
        self.requests.append(requested(number))

    @rule(data=st.data())
    def a_message_arrives(self, data: st.DataObject) -> None:
        queues = [self.requests, self.keyring.answers, *(owner.answers for owner in self.owners)]
        waiting = [queue for queue in queues if queue]
        if waiting:
            self.hear(data.draw(st.sampled_from(waiting)).popleft())

    @rule(data=st.data())
    def somebody_works(self, data: st.DataObject) -> None:
        busy = [worker for worker in (self.keyring, *self.owners) if worker.commands]
        if busy:
            data.draw(st.sampled_from(busy)).work(self.ledger.at)

    @precondition(lambda self: self.keyring.pairs)
    @rule(data=st.data())
    def a_ground_ends(self, data: st.DataObject) -> None:
        self.keyring.end_ground(data.draw(st.sampled_from(sorted(self.keyring.pairs))))

    @precondition(lambda self: any(o.erasing and o.acknowledged < o.partner_copies for o in self.owners))
    @rule()
    def the_partner_acknowledges(self) -> None:
        next(o for o in self.owners if o.erasing and o.acknowledged < o.partner_copies).hear_partner()

    @rule(seconds=st.sampled_from([1, 20, 40]))
    def time_passes(self, seconds: int) -> None:
        self.route(self.ledger.pass_time(seconds))

    @precondition(lambda self: self.ledger.delivered)
    @rule(data=st.data())
    def an_earlier_stretch_comes_again(self, data: st.DataObject) -> None:
        """A repeat changes and says nothing."""
        past = list(self.ledger.delivered)
        start = data.draw(st.integers(0, len(past) - 1))
        before = self.ledger.state
        for event in past[start : start + data.draw(st.integers(1, 8))]:
            assert self.ledger.fold(event) == []
        assert self.ledger.state == before
        self.ledger.delivered = past

    def hear(self, event: object) -> None:
        self.route(self.ledger.fold(event))

    def route(self, spoken: list) -> None:
        """Hand commands on, and check every certificate at the moment it is issued."""
        for event in spoken:
            if isinstance(event, Destroy):
                self.rounds.append(event.round)
                self.keyring.commands.append(event)
            elif isinstance(event, Erase):
                for owner in self.owners:
                    owner.commands.append(event)
            elif isinstance(event, CertificateIssued) and event.request == self.ledger.state.request:
                self.check(event)

    def check(self, issued: CertificateIssued) -> None:
        certificate = verify(issued.certificate, KEYS).certificate
        assert certificate.supersedes == self.superseded
        self.superseded = fingerprint(issued.certificate)
        heard = self.ledger.delivered
        answered = {
            each.owner for each in heard if isinstance(each, Receipt) and each.round == certificate.round
        }
        assert answered == set(OWNERS)
        (keys,) = {
            each.statement for each in heard if isinstance(each, KeysDestroyed) and each.round == issued.round
        }
        assert certificate.keyring.statement == keys

    @invariant()
    def rounds_only_go_up(self) -> None:
        if hasattr(self, "rounds"):
            assert self.rounds == list(range(1, len(self.rounds) + 1))

    @invariant()
    def certified_means_that_nobody_is_missing(self) -> None:
        state = self.ledger.state if hasattr(self, "ledger") else None
        if state is not None and state.state is RequestState.CERTIFIED:
            assert not state.missing and state.certificate == self.superseded

    def teardown(self) -> None:
        """Once everything has arrived the request is certified, and the rows that are left are those held."""
        if not hasattr(self, "ledger"):
            return
        if self.ledger.state is None:
            self.hear(self.requests.popleft())
        workers = (self.keyring, *self.owners)
        while any(each.commands or each.answers for each in workers) or self.requests:
            for each in workers:
                if each.commands:
                    each.work(self.ledger.at)
                while each.answers:
                    self.hear(each.answers.popleft())
            while self.requests:
                self.hear(self.requests.popleft())
        state = self.ledger.state
        assert state.state is RequestState.CERTIFIED
        assert {f"{each.scope}/{each.category}" for each in state.held} == set(self.keyring.pairs)
        for owner in self.owners:
            assert owner.rows <= set(self.keyring.pairs)
        asked = {each.request for each in self.ledger.delivered if each.type.endswith("requested.v1")}
        assert asked == {state.request, *(joined.request for joined in state.joined)}
        assert {each.request for each in self.ledger.progress} == asked
        told = {each.partner: each for each in state.partners}
        assert all(
            told["swift"].acknowledged == each.acknowledged for each in self.owners if each.partner_copies
        )


TestErasing = pytest.mark.filterwarnings("ignore")(Erasing.TestCase)
TestErasing.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
