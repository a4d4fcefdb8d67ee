"""Many faults at once, drawn from a seed: which, for how long, on top of each other."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass

from deploy.local.errors import PlatformUnavailable
from tests.faults import faults
from tests.faults.faulty import PROCESSES, WORKERS, Faulty

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 14.0
"""Shorter and longer than a session: lanes change hands in some rounds and not in others."""
SCALED = ("orders", "carriers", "erasure")
"""Workers of which several instances run."""


@dataclass(frozen=True)
class Round:
    """Faults that lie on top of each other for some seconds; afterwards everything is mended."""

    seconds: float
    joins: tuple[str, ...]
    locks: tuple[str, ...]
    terminated: tuple[str, ...]
    slow: tuple[str, ...]
    frozen: tuple[str, ...]
    killed: tuple[str, ...]

    def __str__(self) -> str:
        parts = {
            "join": self.joins, "lock": self.locks, "terminate": self.terminated, "slow": self.slow,
            "freeze": self.frozen, "kill -9": self.killed,
        }  # fmt: skip
        said = "; ".join(f"{name} {', '.join(what)}" for name, what in parts.items() if what)
        return f"{self.seconds:4.1f} s: {said}"


def drawn(seed: int, rounds: int) -> list[Round]:
    """Return the schedule of a seed: the same one every time."""
    chance = random.Random(seed)
    return [_round(chance) for _ in range(rounds)]


def _round(chance: random.Random) -> Round:
    def some(of: tuple[str, ...], most: int) -> tuple[str, ...]:
        return tuple(sorted(chance.sample(of, chance.randint(0, min(most, len(of))))))

    # What is killed can be neither slow nor frozen.
    killed = tuple(sorted(chance.sample(PROCESSES, chance.randint(1, 3))))
    left = tuple(each for each in PROCESSES if each not in killed)
    frozen = some(left, 1)
    slow = some(tuple(each for each in ("kafka", "postgres-data") if each in left and each not in frozen), 1)
    seconds = round(chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS), 1)
    return Round(seconds, some(SCALED, 2), some(SCALED, 1), some(WORKERS, 2), slow, frozen, killed)


def carry_out(faulty: Faulty, what: Round, meanwhile: Callable[[], object]) -> None:
    """Begin all faults of a round, wait, end all, mend the platform."""
    stack = faulty.stack
    guests = [stack.add(worker) for worker in what.joins]
    with ExitStack() as under:
        for fault in _lasting(faulty, what):
            under.enter_context(fault)
        meanwhile()
        for instances, number in ((what.frozen, signal.SIGSTOP), (what.killed, signal.SIGKILL)):
            for instance in instances:
                with suppress(PlatformUnavailable):
                    stack.kill(instance, number)
        time.sleep(what.seconds)
        # Before anything is started again: whoever starts it waits until everybody answers.
        for instance in what.frozen:
            with suppress(PlatformUnavailable):
                stack.kill(instance, signal.SIGCONT)
    faulty.repair(*what.killed)
    for guest in guests:
        faults.let_leave(faulty, guest)


def _lasting(faulty: Faulty, what: Round) -> Iterator[AbstractContextManager[None]]:
    for worker in what.locks:
        yield faults.locked(faulty, f"LOCK TABLE {worker}.lane IN ACCESS EXCLUSIVE MODE")
    if what.terminated:
        yield faults.backends_terminated(faulty, *what.terminated)
    for instance in what.slow:
        yield faults.slow(faulty, instance)


@contextmanager
def told(rounds: list[Round], seed: int) -> Iterator[None]:
    """Print what is going to happen, and once more what reproduces it when it went wrong."""
    print(f"\nseed {seed}\n" + "\n".join(map(str, rounds)))
    try:
        yield
    except BaseException:
        print(f"\nreproduce with: make faults SEED={seed}")
        raise
