"""A coroutine that has been begun where it was called, without a task: most of Faust's are done at once."""

from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """Runs a coroutine up to where it first waits. If it waits, awaiting this goes on with it, in whatever task."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self.done = False
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration:
            self.done = True

    def __await__(self) -> Generator[Any, Any, None]:
        while not self.done:
            try:
                said = yield self._waits_for
            except BaseException as error:  # noqa: BLE001 - it goes where it was sent, cancellation too
                step: tuple[Any, Any] = (self._coroutine.throw, error)
            else:
                step = (self._coroutine.send, said)
            try:
                self._waits_for = step[0](step[1])
            except StopIteration:
                self.done = True
