"""The background thread: takes from the queue, asks the courier, tries again for as long as it takes."""

import logging
import os
import random
import threading
import weakref
from collections.abc import Callable, Sequence

from .courier import Courier, TryAgain, waits
from .queue import ACCEPTED, Item, Limits, Queue, Report

OnError = Callable[[str, Sequence[str]], object]
"""Told a code, and the ids it is about."""

_log = logging.getLogger("lethe_storefront")
_living: "weakref.WeakSet[Sender]" = weakref.WeakSet()


class Sender:
    """Owns the queue, the thread and the connection of one client; its thread starts with the first item."""

    def __init__(self, make_courier: Callable[[], Courier], limits: Limits, on_error: OnError | None) -> None:
        self._make_courier = make_courier
        self._limits = limits
        self._on_error = on_error
        self.begin()
        _living.add(self)

    def begin(self) -> None:
        """Start with nothing waiting; also in a forked child, which has none of its parent's threads.

        What waited before the fork is still the parent's to send, and its connection the parent's to use.
        """
        self.queue = Queue(self._limits)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._courier: Courier | None = None

    def put(self, item: Item) -> bool:
        """Let an item wait; say and count why it cannot."""
        refused = self.queue.put(item)
        if refused:
            self.say(refused, (item.id,))
            return False
        self._ensure_thread()
        return True

    def refuse(self, code: str, ids: Sequence[str] = ()) -> None:
        """Count and say something that will never be sent."""
        self.queue.count(code)
        self.say(code, ids)

    def report(self) -> Report:
        """Return the counts."""
        return self.queue.report()

    def courier(self) -> Courier:
        """Return the connection, made when it is first needed."""
        with self._starting:
            if self._courier is None:
                self._courier = self._make_courier()
            return self._courier

    def close(self, timeout_seconds: float) -> bool:
        """Send what waits, take nothing more; return whether everything was sent."""
        drained = self.queue.drained(timeout_seconds)
        self.queue.close()
        if not drained:
            self.say("unsent", ())
        return drained

    def say(self, code: str, ids: Sequence[str]) -> None:
        """Tell the shop; its own fault in listening is its own."""
        if self._on_error is None:
            _log.warning("%s (%d)", code, len(ids))
            return
        try:
            self._on_error(code, ids)
        except Exception:  # noqa: BLE001 - neither the checkout nor the sending may end because of it
            _log.warning("on_error failed for %s", code)

    def _ensure_thread(self) -> None:
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return
            try:
                thread = threading.Thread(
                    target=self._send_all, args=(self.queue,), name="lethe-storefront", daemon=True
                )
                thread.start()
            except RuntimeError:
                # The process has no thread to spare, or is ending: what waits is tried with the next item.
                self.say("no-thread", ())
            else:
                self._thread = thread

    def _send_all(self, queue: Queue) -> None:
        pauses = waits()
        while batch := queue.next_batch():
            try:
                verdicts = self.courier().deliver(batch)
            except TryAgain as error:
                again = error
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the sending of everything else
                again = TryAgain(f"fault-{type(error).__name__}")
            else:
                queue.settle(batch, verdicts)
                self._tell(batch, verdicts)
                pauses = waits()
                continue
            self.say(again.code, [item.id for item in batch])
            if queue.closed:
                break
            queue.pause(max(next(pauses), again.after_seconds * random.uniform(1.0, 1.25)))  # noqa: S311
        if self._courier is not None:
            self._courier.close()

    def _tell(self, batch: Sequence[Item], verdicts: Sequence[str]) -> None:
        by_code: dict[str, list[str]] = {}
        for item, verdict in zip(batch, verdicts, strict=True):
            if verdict != ACCEPTED:
                by_code.setdefault(verdict, []).append(item.id)
        for code, ids in by_code.items():
            self.say(code, ids)


def _after_fork() -> None:
    for sender in list(_living):
        sender.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
