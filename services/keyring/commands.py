"""Holds, releases, destruction and the ends of grounds: what the keyring hears as messages.

`carry_out` is one transaction for a whole batch, in this order: lock every subject, read, decide (pure),
fence, destroy, sign. The fence and the destruction are separate statements, see `store.destroy_keys`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, ClassVar

import asyncpg

from schemas.erasure import Destroy, Erase, GroundEnded, KeysDestroyed
from schemas.holds import HoldConfirmed, HoldReleased
from schemas.privacy import Event
from schemas.statements import KeyringStatement
from schemas.topics import RECEIPTS
from services.kernel import failpoints
from services.kernel.decision import Outgoing, Timer
from services.kernel.errors import RejectedRecord
from services.kernel.storage.interface import Transaction
from services.kernel.telemetry import metrics
from services.kernel.worker.endings import CONSUMED, REJECTED, REPEATED
from services.kernel.worker.worker import Handled, Received
from services.keyring import domain
from services.keyring.domain import Change, State, Subject
from services.keyring.receipts import Signer, statement
from services.keyring.store import SQL, Doomed, destroy_keys, lock_subjects, save, with_pairs


class GroundsDue(Event):
    """A ground of an erasing subject ends about now; the keyring reminds itself."""

    type: ClassVar[str] = "lethe.keyring.grounds-due.v1"
    suppressible: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done about one subject."""

    subject: str
    event: Event


@dataclass(frozen=True, slots=True)
class Step:
    """What one command came to."""

    command: Command
    before: Subject
    change: Change
    code: str = ""
    """Why it was rejected."""
    said: tuple[Event, ...] = ()
    """What others must hear."""

    @property
    def ending(self) -> str:
        """How the record ends."""
        if self.code:
            return REJECTED
        return CONSUMED if self.said or self.change.subject != self.before else REPEATED


class Commands:
    """The keyring's handler in the worker loop."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def key(self, event: Event, subject: str) -> str:
        """Commands about one subject wait for each other."""
        return subject

    async def handle(self, tx: Transaction, batch: Sequence[Received]) -> list[Handled]:
        """Carry out the batch and say of each record how it ended."""
        commands = [Command(each.subject, each.event) for each in batch]
        steps = await carry_out(tx.connection, tx.at, commands, self._signer)
        return [
            Handled(
                received,
                step.ending,
                tuple(Outgoing(RECEIPTS.name, received.subject, event) for event in step.said),
                _timers(step, tx.at),
                step.code,
            )
            for received, step in zip(batch, steps, strict=True)
        ]


async def carry_out(connection: Any, at: datetime, commands: Sequence[Command], signer: Signer) -> list[Step]:
    """Carry out commands in order, inside the caller's transaction; return what each came to."""
    with failpoints.step(failpoints.Step.LOAD):
        before = await _load(connection, commands)
    steps, people = [], dict(before)
    for command in commands:
        step = _decided(command, people[command.subject], at)
        people[command.subject] = step.change.subject
        steps.append(step)
    with failpoints.step(failpoints.Step.FENCE):
        await save(connection, before, people)
    doomed = [Doomed(step.command.subject, pair) for step in steps for pair in step.change.destroyed]
    if doomed:
        with failpoints.step(failpoints.Step.DESTROY):
            for category in await destroy_keys(connection, doomed):
                metrics.KEYS_DESTROYED.labels(category, "erasure").inc()
    destroyed_at = at
    if any(isinstance(command.event, Destroy) for command in commands):
        # Read after every lock on the keys is held: nobody was handed one of them later than this.
        destroyed_at = await connection.fetchval("SELECT clock_timestamp()")
    dead = await _dead_keys(connection, steps)
    keks = await connection.fetch(SQL.living_keks) if dead else []
    return [_told(step, destroyed_at, at, keks, dead, signer) for step in steps]


async def _dead_keys(connection: Any, steps: Sequence[Step]) -> Mapping[str, list[asyncpg.Record]]:
    """Return every key that was ever destroyed of the subjects whose destruction was commanded."""
    asked = {step.command.subject for step in steps if isinstance(step.command.event, Destroy)}
    dead = defaultdict(list)
    for row in await connection.fetch(SQL.dead_keys, sorted(asked)) if asked else ():
        dead[row["subject"]].append(row)
    return dead


async def _load(connection: Any, commands: Sequence[Command]) -> dict[str, Subject]:
    people = await lock_subjects(connection, {command.subject for command in commands})
    whole = {name for name, person in people.items() if person.state is State.ERASING}
    whole |= {command.subject for command in commands if isinstance(command.event, Destroy)}
    scopes = [
        (command.subject, command.event.order)
        for command in commands
        if isinstance(command.event, HoldConfirmed | HoldReleased) and command.subject not in whole
    ]
    return await with_pairs(connection, people, whole, scopes)


def _decided(command: Command, person: Subject, at: datetime) -> Step:
    try:
        return Step(command, person, _change(command.event, person, at))
    except RejectedRecord as refusal:
        return Step(command, person, Change(person), refusal.code)


def _change(event: Event, person: Subject, at: datetime) -> Change:
    match event:
        case HoldConfirmed():
            return domain.confirm(person, event, at)
        case HoldReleased():
            return domain.release(person, event, at)
        case Destroy(request=request, round=number):
            if domain.said_before(person, request, number):
                return Change(person)
            return domain.destroy(person, request, number, at)
        case GroundsDue():
            return domain.lapse(person, at)
        case Erase():
            return Change(person)  # To the owners; the keyring has done its part before they are told.
        case _:
            raise RejectedRecord("event-unknown")


def _told(
    step: Step,
    destroyed_at: datetime,
    at: datetime,
    keks: Sequence[asyncpg.Record],
    dead: Mapping[str, list[asyncpg.Record]],
    signer: Signer,
) -> Step:
    subject, request = step.change.subject, step.change.subject.request
    match step.command.event:
        case Destroy() if step.change.subject != step.before and request:
            keys = dead.get(step.command.subject, [])
            kids = [key["kid"] for key in keys]
            said = statement(
                request, subject.round, kids, subject.held(at), destroyed_at, _pending(keks, keys)
            )
            return replace(step, said=(_keys_destroyed(said, signer),))
        case _ if step.change.ended and subject.request:
            return replace(step, said=(GroundEnded(request=subject.request, ended=step.change.ended),))
        case _:
            return step


def _pending(keks: Sequence[asyncpg.Record], dead: Sequence[asyncpg.Record]) -> list[tuple[str, int]]:
    """Return the living KEK versions that may have wrapped one of the dead keys: those made before it died."""
    last = {key["category"]: key["destroyed_at"] for key in sorted(dead, key=itemgetter("destroyed_at"))}
    return [
        (kek["category"], kek["version"])
        for kek in keks
        if kek["category"] in last and kek["created_at"] <= last[kek["category"]]
    ]


def _keys_destroyed(said: KeyringStatement, signer: Signer) -> KeysDestroyed:
    return KeysDestroyed(
        request=said.request,
        round=said.round,
        destroyed=said.destroyed,
        held=said.held,
        destroyed_at=said.destroyed_at,
        unreadable_at=said.unreadable_at,
        statement=signer.sign(said),
    )


def _timers(step: Step, at: datetime) -> tuple[Timer, ...]:
    if step.change.subject.state is not State.ERASING:
        return ()
    ends = step.change.subject.next_end(at)
    return (Timer(GroundsDue(), ends - at),) if ends else ()
