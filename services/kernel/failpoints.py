"""Every step at which a process may die: named, so that a test can kill it exactly there and see what survives.

`LETHE_FAILPOINT="<step>.before|after[:N]"` in a process's environment makes it kill itself, as `kill -9` would, when it
reaches that point for the Nth time (the first, if no number is given). A step that fails has no `after`.

Safe to ship, because
- only the environment arms it: no message, no request and no setting in a file or table can;
- all it ever does is end its own process, which whoever chose its environment could do anyway, and which loses
  nothing (that is what it is for): it reads, writes, sends and skips nothing;
- an armed process says so when it starts and when it dies, and refuses to start on a name that does not exist;
- unarmed, a step is one look-up for a whole batch or request.

A step is an effect outside the process: a statement, a commit, a send, a call, a file. What is pure (decode, decide,
seal, sign) and what only asks has no window of its own: dying there is dying before the next step.
"""

import os
import re
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import NoReturn

from services.kernel.errors import ConfigurationError

VARIABLE = "LETHE_FAILPOINT"


class Step(StrEnum):
    """What a process does to the world, in the order in which it does it."""

    # The loop.
    STREAMS = "streams"
    """The ids of the topics are stored, at the very first start."""
    JOIN = "join"
    """The group is joined."""
    BEGIN = "begin"
    """The first positions of a lane are stored."""
    FETCH = "fetch"
    LOCK = "lock"
    """The transaction begins with the lane's row, and compares where the batch was fetched from."""
    DUE = "due"
    """Redriven letters and due timers are taken out."""
    OBEY = "obey"
    """A command of the fan-out is carried out: rows go, the suppression row comes."""
    SUPPRESS = "suppress"
    """Suppressions are read, under the lock."""
    LOAD = "load"
    """States are read (the keyring locks its people as well)."""
    STORE = "store"
    OUTBOX = "outbox"
    """What was decided is recorded beside the states: outgoing rows, timers, dead letters, endings."""
    PROGRESS = "progress"
    COMMIT = "commit"
    TELL = "tell"
    """The group is told the positions; the database has them already."""

    # The relay.
    TAKE_OVER = "take-over"
    """The previous owner's producer is fenced, and its position read."""
    RECALL = "recall"
    """Rows that the previous owner published are deleted."""
    PREPARE = "prepare"
    """Partners' copies are opened and sealed again: keys leave the keyring and are counted."""
    SEND = "send"
    """Records and position are sent inside an open Kafka transaction."""
    PUBLISH = "publish"
    """The Kafka transaction is committed."""
    FORGET = "forget"
    """Published rows are deleted."""

    # The keyring.
    MINT_LOCK = "mint-lock"
    """Subjects are made known and locked against destruction."""
    MINT_STORE = "mint-store"
    """Pairs and wrapped keys are inserted."""
    MINT_COMMIT = "mint-commit"
    """Afterwards only the answer is missing."""
    ADOPT = "adopt"
    """A subject known from a hold only gets its storefront."""
    OPEN = "open"
    """Keys are read and counted, in one transaction; afterwards only the answer is missing."""
    FENCE = "fence"
    """Subjects become `erasing`, grounds change."""
    DESTROY = "destroy"
    """The wrapped keys go."""
    KEK_BEGIN = "kek-begin"
    """A new version becomes primary, in one transaction."""
    KEK_CREATE = "kek-create"
    """The file of the new version, written before its row is."""
    REWRAP = "rewrap"
    """Some living keys are wrapped anew."""
    CONDEMN = "condemn"
    """A version that wraps nothing any more may go."""
    KEK_DESTROY = "kek-destroy"
    """The file of the old version goes."""
    KEK_BURY = "kek-bury"
    """The row of the old version says so."""
    EXPIRE = "expire"
    """Grounds end by their date and their keys with them, in one transaction."""
    TAG_KEY = "tag-key"
    """The tag key is read, or the next one made; afterwards only the answer is missing."""
    TAG_KEY_END = "tag-key-end"
    """A dead tag key goes, and its file with it."""

    # The clickstream.
    OVER = "over"
    """Windows that are over are opened in every lane."""
    CUT_OFF = "cut-off"
    """The offset is noted at which a lane's windows end, with the reminder to close them."""
    CLOSE = "close"
    """What crowds opened is stored, with how far the lane is."""
    SWEEP = "sweep"
    """Tags of what is counted are deleted."""
    ISSUE = "issue"
    """Numbers of a window that all lanes have closed are stored as published."""
    SUM = "sum"
    """What was dropped of a day is stored as told."""

    # The gateway.
    KEYS = "keys"
    """The keyring is asked for keys and for how subjects stand."""
    PRODUCE = "produce"
    """Sealed events go to Kafka; afterwards only the answer is missing."""
    REQUEST = "request"
    """The row of an erasure request is stored."""
    ASK = "ask"
    """The erasure request goes to Kafka."""
    TAGS = "tags"
    """The keyring is asked for the tag key."""
    CLICKS = "clicks"
    """A shuffled crowd's cells go to Kafka."""


class _Mark:
    """Unarmed: does nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class _Armed(_Mark):
    """Ends the process when one side of its step is reached for the given time."""

    __slots__ = ("_left", "_side", "_tell")

    def __init__(self, side: str, number: int, tell: Callable[[], object]) -> None:
        self._side = side
        self._left = number
        self._tell = tell

    def reach(self, side: str) -> None:
        if side == self._side:
            self._left -= 1
            if self._left <= 0:
                self._tell()
                _die()

    def __enter__(self) -> None:
        self.reach("before")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.reach("after")


_UNARMED = _Mark()
_armed: dict[Step, _Armed] = {}
_FORM = re.compile(r"([a-z-]+)\.(before|after)(?::([1-9][0-9]{0,8}))?")


def step(which: Step) -> _Mark:
    """Return what to put around a step: `with step(Step.STORE): ...`."""
    return _armed.get(which, _UNARMED) if _armed else _UNARMED


def before(which: Step) -> None:
    """Mark the beginning of a step that no block fits around."""
    if _armed and which in _armed:
        _armed[which].reach("before")


def after(which: Step) -> None:
    """Mark its end."""
    if _armed and which in _armed:
        _armed[which].reach("after")


def arm(environment: Mapping[str, str], tell: Callable[[], object]) -> str:
    """Arm what the environment names and return it, "" for nothing; `tell` is called right before the end.

    Raises `ConfigurationError` for a point that does not exist: a test that waits for it would prove nothing.
    """
    _armed.clear()
    wanted = environment.get(VARIABLE, "")
    if not wanted:
        return ""
    form = _FORM.fullmatch(wanted)
    if form is None or form[1] not in {each.value for each in Step}:
        raise ConfigurationError("failpoint-unknown")
    _armed[Step(form[1])] = _Armed(form[2], int(form[3] or 1), tell)
    return wanted


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # Not reached: nobody survives that signal.
