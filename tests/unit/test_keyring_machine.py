"""The keyring through every order of mints, holds, erasures, time, repeats and restored copies (R3, T4).

The domain and the in-memory twin go through the same story side by side. What a pair is held by is worked out a
second time here, from the messages alone, so that a mistake in the rules is not its own judge.
"""

import copy
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.erasure import Destroy
from schemas.holds import Ground, Hold, HoldConfirmed, HoldReleased
from schemas.privacy import Category, Event, Purpose
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.keys import DataKey, Erased, KeyRef
from services.kernel.sealing.lease import Opened, Unopenable
from services.kernel.sealing.memory import MemoryVault
from services.keyring import domain
from services.keyring.domain import Change, State, Subject
from services.keyring.grounds import PROVISIONAL_FOR, Pair, PairId, provisional
from tests.unit.examples import stateful

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TAX_DAYS = timedelta(days=3650)
SHOPS = ("bookshop", "shoeshop")
PEOPLE = ("5" * 32, "6" * 32)
ORDERS = ("a" * 32, "b" * 32)
WHILE_OPEN = (Category.LOGISTICS, Category.TRANSACTION)
REQUEST = "d" * 32

SHOP_OF = dict(zip(PEOPLE, SHOPS, strict=True))

# Most of the story is about one person and one order: what is rare alone is rarer in a crowd.
people = st.sampled_from((*PEOPLE[:1] * 4, PEOPLE[1]))
orders, shops = st.sampled_from((*ORDERS[:1] * 2, ORDERS[1])), st.sampled_from(SHOPS)


class Time:
    """A clock that the story moves."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Key:
    """A row of the keyring's table."""

    ref: KeyRef
    alive: bool = True


@dataclass
class Books:
    """Everything that a backup of the keyring's database holds."""

    people: dict[str, Subject] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=lambda: {"holds": 0, "commands": 0})
    """How far the keyring has read each topic."""


@dataclass
class Order:
    """An order as its worker knows it: the only one who may say why it is held."""

    subject: str
    revision: int = 0
    stage: str = "new"


class Keyring(RuleBasedStateMachine):
    """Two people of two shops, two orders each, everybody at once."""

    @initialize(placed=st.sampled_from((0, 1, 2, 2)))
    def begin(self, placed: int) -> None:
        self.time = Time()
        self.books = Books()
        self.vault = MemoryVault(self.time)  # type: ignore[arg-type]
        self.orders = {(who, order): Order(who) for who, order in product(PEOPLE, ORDERS)}
        self.topics: dict[str, list[tuple[str, Event]]] = {"holds": [], "commands": []}
        self.born: dict[tuple[str, PairId], datetime] = {}
        self.shop_of: dict[str, str] = {}
        self.destroyed: set[str] = set()
        """Kids that an erasure has destroyed: nothing brings them back."""
        self.ended: set[tuple[str, PairId, Any]] = set()
        self.copy: tuple[Books, Any, dict[str, Any], dict[Any, datetime]] | None = None
        for order in ORDERS[:placed]:
            self.an_order_is_placed(PEOPLE[0], order)

    # -- what people and workers do --

    @rule(shop=shops, who=people, order=orders, category=st.sampled_from(Category))
    def somebody_mints(self, shop: str, who: str, order: str, category: Category) -> None:
        person, pair_id = self.person(who), PairId(order, category)
        if person.storefront is None and person.state is State.ACTIVE:
            person = replace(person, storefront=shop)
        refused = domain.may_mint(person, shop, pair_id, self.time.at)
        answer = self.vault.mint_one(shop, KeyRef(who, category, order))
        assert (answer if isinstance(answer, Refused) else None) == refused, "the twin says something else"
        assert (refused is Refused.SUBJECT_FOREIGN) == (self.shop_of.get(who, shop) != shop)
        if person.storefront is not None:
            self.shop_of.setdefault(who, person.storefront)
        if isinstance(answer, DataKey):
            assert person.state is not State.ERASED
            assert person.state is State.ACTIVE or self.held(who, pair_id)
            person = self.with_key(person, pair_id, answer.kid, who)
        self.books.people[who] = person

    @rule(who=people, order=orders)
    def an_order_is_placed(self, who: str, order: str) -> None:
        for category in WHILE_OPEN:
            self.somebody_mints(SHOP_OF[who], who, order, category)

    @rule(who=people, order=orders, paid=st.booleans(), heard=st.booleans())
    def an_order_goes_on(self, who: str, order: str, paid: bool, heard: bool) -> None:
        """From new to open, to paid or not, to over; its worker says so, and mostly the keyring hears of it soon."""
        known = self.orders[who, order]
        if known.stage == "new":
            everything = (*WHILE_OPEN, Category.ACCOUNTING)
            self.confirm(known, order, "open", dict.fromkeys(everything, Ground.OPEN_ORDER))
        elif known.stage == "open" and paid:
            self.somebody_mints(SHOP_OF[who], who, order, Category.ACCOUNTING)
            self.confirm(known, order, "paid", {Category.ACCOUNTING: Ground.STATUTORY})
        elif known.stage != "over":
            gone = WHILE_OPEN if known.stage == "paid" else (*WHILE_OPEN, Category.ACCOUNTING)
            known.stage, known.revision = "over", known.revision + 1
            event = HoldReleased(order=order, revision=known.revision, categories=gone)
            self.topics["holds"].append((who, event))
        if heard:
            self.the_keyring_reads("holds", len(self.topics["holds"]))

    @rule(who=people, heard=st.booleans())
    def somebody_is_to_be_forgotten(self, who: str, heard: bool) -> None:
        """Twice: a further round, as after the end of a ground."""
        number = 1 + sum(subject == who for subject, _ in self.topics["commands"])
        self.topics["commands"].append((who, Destroy(request=REQUEST, round=number)))
        if heard:
            self.the_keyring_reads("commands", len(self.topics["commands"]))

    # -- what the keyring does --

    @rule(topic=st.sampled_from(("holds", "commands")), records=st.sampled_from((1, 2, 20)))
    def the_keyring_reads(self, topic: str, records: int) -> None:
        for _ in range(records):
            if self.books.read[topic] < len(self.topics[topic]):
                who, event = self.topics[topic][self.books.read[topic]]
                self.books.read[topic] += 1
                self.carry_out(who, event)

    @rule(days=st.sampled_from((*[1] * 14, PROVISIONAL_FOR.days, TAX_DAYS.days)))
    def time_passes(self, days: int) -> None:
        self.time.at += timedelta(days=days)
        self.end_grounds()

    @rule(data=st.data())
    def an_earlier_stretch_comes_again(self, data: st.DataObject) -> None:
        """Whatever was heard once, and is heard again from there on, finds everything as it left it.

        What had ended by its date, and was forgotten, is known again from its first word to its last, and ends again.
        """
        self.end_grounds()
        heard = [self.topics[name][: self.books.read[name]] for name in ("holds", "commands")]
        before = self.standing()
        for stretch in heard:
            if stretch:
                start = data.draw(st.integers(0, len(stretch) - 1))
                for who, event in stretch[start:]:
                    change = self.carry_out(who, event)
                    assert not change.destroyed and not change.ended
        self.end_grounds()
        assert self.standing() == before

    def standing(self) -> tuple[dict[str, Subject], list[str]]:
        """Return what holds something, or has a key, of everybody, and the keys that live."""
        people = {
            who: replace(
                person, pairs={name: each for name, each in person.pairs.items() if each.ground or each.live}
            )
            for who, person in self.books.people.items()
        }
        return people, [kid for kid, key in self.books.keys.items() if key.alive]

    @rule()
    def the_database_is_copied(self) -> None:
        twin = copy.deepcopy(self.vault._people), dict(self.vault._keys)
        self.copy = copy.deepcopy(self.books), twin, dict(self.shop_of), dict(self.born)

    @precondition(lambda self: self.copy is not None)
    @rule(data=st.data())
    def the_copy_is_restored(self, data: st.DataObject) -> None:
        """Serves nobody until both topics are read to their ends, in whatever order of the two.

        Left out are copies so old that a provisional ground in them has ended: whether somebody had confirmed it by
        then is found out only if that is read before the erasure.
        """
        assert self.copy is not None
        books, (known, keys), shops, born = self.copy
        pairs = (pair for person in books.people.values() for pair in person.pairs.values())
        if any(pair.ground is Ground.PROVISIONAL and pair.due(self.time.at) for pair in pairs):
            return
        self.books = copy.deepcopy(books)
        self.vault._people, self.vault._keys = copy.deepcopy(known), dict(keys)
        # A shop that bound its customer after the copy was made has to do so again.
        self.shop_of, self.born = dict(shops), dict(born)
        waiting = {name: deque(said[self.books.read[name] :]) for name, said in self.topics.items()}
        while any(waiting.values()):
            name = data.draw(st.sampled_from([name for name, said in waiting.items() if said]))
            self.books.read[name] += 1
            self.carry_out(*waiting[name].popleft(), again=True)
        self.end_grounds(again=True)

    # -- how it does it: as `services/keyring/commands.py` and `store.py` --

    def person(self, who: str) -> Subject:
        return self.books.people.get(who, Subject())

    def with_key(self, person: Subject, pair_id: PairId, kid: str, who: str) -> Subject:
        pair = person.pairs.get(pair_id)
        if person.state is State.ACTIVE and (pair is None or pair.ground is Ground.PROVISIONAL):
            pair = replace(provisional(self.time.at), live=pair.live if pair else 0)
            self.born[who, pair_id] = self.time.at
        assert pair is not None
        self.books.keys[kid] = Key(KeyRef(who, pair_id.category, pair_id.scope))
        return replace(person, pairs={**person.pairs, pair_id: replace(pair, live=pair.live + 1)})

    def confirm(self, order: Order, name: str, stage: str, grounds: dict[Category, Ground]) -> None:
        order.stage, order.revision = stage, order.revision + 1
        until = {Ground.STATUTORY: self.time.at + TAX_DAYS}
        holds = tuple(Hold(category=each, ground=why, until=until.get(why)) for each, why in grounds.items())
        event = HoldConfirmed(order=name, revision=order.revision, holds=holds)
        self.topics["holds"].append((order.subject, event))

    def carry_out(self, who: str, event: Event, *, again: bool = False) -> Change:
        person = self.person(who)
        match event:
            case HoldConfirmed():
                change = domain.confirm(person, event, self.time.at)
            case HoldReleased():
                change = domain.release(person, event, self.time.at)
            case Destroy(request=request, round=number) if not domain.said_before(person, request, number):
                change = domain.destroy(person, request, number, self.time.at)
            case _:
                change = Change(person)
        self.vault.apply(who, event)
        self.apply(who, change, again=again)
        return change

    def apply(self, who: str, change: Change, *, again: bool = False) -> None:
        for pair_id in change.destroyed:
            assert change.subject.state is not State.ACTIVE
            assert not self.held(who, pair_id), "a key that something holds"
            self.kill(who, pair_id)
        for ended in () if again else change.ended:
            name = (who, PairId(ended.scope, ended.category), ended.ground)
            assert name not in self.ended, "the end of a ground is told once"
            self.ended.add(name)
        self.books.people[who] = change.subject

    def kill(self, who: str, pair_id: PairId) -> None:
        for kid, key in self.books.keys.items():
            if key.alive and key.ref == KeyRef(who, pair_id.category, pair_id.scope):
                key.alive = False
                if self.person(who).state is not State.ACTIVE or self.commanded(who):
                    self.destroyed.add(kid)

    def commanded(self, who: str) -> bool:
        return any(subject == who for subject, _ in self.topics["commands"][: self.books.read["commands"]])

    def end_grounds(self, *, again: bool = False) -> None:
        """What the keyring does unasked: reminders of the erasing, expiry of the others."""
        self.vault.lapse()
        for who, person in list(self.books.people.items()):
            if person.state is State.ERASING:
                self.apply(who, domain.lapse(person, self.time.at), again=again)
            elif person.state is State.ACTIVE:
                over = [pair_id for pair_id, pair in person.pairs.items() if pair.due(self.time.at)]
                left = {pair_id: pair for pair_id, pair in person.pairs.items() if pair_id not in over}
                self.books.people[who] = replace(person, pairs=left)
                for pair_id in over:
                    self.kill(who, pair_id)

    def held(self, who: str, pair_id: PairId) -> bool:
        """Say whether something holds a pair, by the messages that were read and nothing else."""
        last: HoldConfirmed | HoldReleased | None = None
        for subject, event in self.topics["holds"][: self.books.read["holds"]]:
            assert isinstance(event, HoldConfirmed | HoldReleased)
            named = (
                event.categories
                if isinstance(event, HoldReleased)
                else [each.category for each in event.holds]
            )
            if (subject, event.order) == (who, pair_id.scope) and pair_id.category in named:
                last = event if last is None or event.revision > last.revision else last
        if last is None:
            born = self.born.get((who, pair_id))
            return born is not None and self.time.at < born + PROVISIONAL_FOR
        if isinstance(last, HoldReleased):
            return False
        (hold,) = [each for each in last.holds if each.category is pair_id.category]
        return hold.until is None or self.time.at < hold.until

    # -- what always holds --

    @invariant()
    def an_erased_person_has_no_key_and_gets_none(self) -> None:
        for who, person in self.known():
            if person.state is State.ERASED:
                assert not self.living(who)
                for shop, order, category in product(SHOPS, ORDERS, Category):
                    assert domain.may_mint(person, shop, PairId(order, category), self.time.at)

    @invariant()
    def who_is_being_erased_has_only_keys_that_something_holds(self) -> None:
        for who, person in self.known():
            if person.state is State.ERASING:
                assert self.living(who), "erasing for ever"
                for key in self.living(who):
                    pair_id = PairId(key.ref.scope, key.ref.category)
                    assert self.held(who, pair_id)
                    assert person.pairs[pair_id].held(self.time.at)
                told = {PairId(each.scope, each.category) for each in person.held(self.time.at)}
                assert told >= {PairId(key.ref.scope, key.ref.category) for key in self.living(who)}
                live = {pair_id: pair.live for pair_id, pair in person.pairs.items() if pair.live}
                assert sum(live.values()) == len(self.living(who))

    @invariant()
    def what_an_erasure_destroyed_never_opens_again(self) -> None:
        for kid in self.destroyed if hasattr(self, "destroyed") else ():
            assert kid not in self.books.keys or not self.books.keys[kid].alive

    @invariant()
    def never_had_held_and_erased_are_three_answers(self) -> None:
        for kid, key in self.books.keys.items() if hasattr(self, "books") else ():
            answer = self.vault.open_one("carriers", Purpose.DELIVERY, kid)
            if key.ref.category is not Category.LOGISTICS:
                assert isinstance(answer, Unopenable)
            elif key.alive:
                assert isinstance(answer, Opened) and (answer.key.kid, answer.ref) == (kid, key.ref)
            else:
                assert answer == Erased(kid)
        if hasattr(self, "vault"):
            assert isinstance(self.vault.open_one("carriers", Purpose.DELIVERY, "never"), Unopenable)

    @invariant()
    def the_twin_stands_where_the_domain_does(self) -> None:
        for who, person in self.known():
            state = self.vault._people[who].state if who in self.vault._people else SubjectState.ACTIVE
            assert state.value == person.state.value

    def known(self) -> list[tuple[str, Subject]]:
        return list(self.books.people.items()) if hasattr(self, "books") else []

    def living(self, who: str) -> list[Key]:
        return [key for key in self.books.keys.values() if key.alive and key.ref.subject == who]


TestKeyring = Keyring.TestCase
TestKeyring.settings = stateful(150, 50)
assert Pair().live == 0
