"""Carries a batch to the gateway and brings back what became of each item, or word that it must be tried again."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from .queue import ACCEPTED, Item

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0
_AGAIN = frozenset({408, 425, 429})
# The gateway may refuse a whole body because of one event in it.
_MAY_BE_ONE_ITEMS_FAULT = frozenset({400, 413, 422})


class TryAgain(Exception):
    """Nobody knows what became of the batch: send it again, unchanged."""

    def __init__(self, code: str, after_seconds: float = 0.0) -> None:
        super().__init__(code)
        self.code = code
        self.after_seconds = after_seconds


def waits() -> Iterator[float]:
    """Yield ever longer waits, spread at random so that many shops do not come back at once."""
    ceiling = FIRST_WAIT_SECONDS
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, protects nothing
        ceiling = min(LONGEST_WAIT_SECONDS, ceiling * 2)


class Courier:
    """One connection to one gateway."""

    def __init__(self, url: str, token: str, timeout_seconds: float) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            timeout=timeout_seconds,
        )

    def deliver(self, batch: Sequence[Item]) -> list[str]:
        """Return one verdict per item; raise `TryAgain`."""
        if batch[0].erasure is not None:
            return [self._verdict(self._post("/v1/erasures", batch[0].body))]
        return self._events(batch)

    def get(self, path: str) -> httpx.Response:
        """Return an answer; raise `TryAgain`."""
        return self._known(lambda: self._http.get(path))

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _events(self, batch: Sequence[Item]) -> list[str]:
        answer = self._post("/v1/events", b"[" + b",".join(item.body for item in batch) + b"]")
        if answer.is_success:
            return _verdicts(answer, len(batch))
        if len(batch) == 1 or answer.status_code not in _MAY_BE_ONE_ITEMS_FAULT:
            return [self._verdict(answer)] * len(batch)
        middle = len(batch) // 2
        return self._events(batch[:middle]) + self._events(batch[middle:])

    def _post(self, path: str, body: bytes) -> httpx.Response:
        return self._known(lambda: self._http.post(path, content=body))

    def _known(self, ask: Any) -> httpx.Response:
        try:
            answer: httpx.Response = ask()
        except httpx.HTTPError as error:
            raise TryAgain(f"unreachable-{type(error).__name__}") from None
        if answer.status_code in _AGAIN or answer.status_code >= 500:
            raise TryAgain(_code(_json(answer), answer.status_code), _retry_after(answer))
        return answer

    def _verdict(self, answer: httpx.Response) -> str:
        return ACCEPTED if answer.is_success else _code(_json(answer), answer.status_code)


def _verdicts(answer: httpx.Response, count: int) -> list[str]:
    content = _json(answer)
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or len(results) != count:
        raise TryAgain("answer-unreadable")
    statuses = [each.get("status", 0) if isinstance(each, dict) else 0 for each in results]
    if any(status in _AGAIN or status >= 500 or status == 0 for status in statuses):
        raise TryAgain("answer-partial")
    return [
        ACCEPTED if 200 <= status < 300 else _code(each, status)
        for each, status in zip(results, statuses, strict=True)
    ]


def _json(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        return None


def _code(content: Any, status: int) -> str:
    code = content.get("code") if isinstance(content, dict) else None
    return code if isinstance(code, str) and code else f"http-{status}"


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds the gateway asks for; a date, which it never sends, counts as nothing said."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isascii() and text.isdigit() else 0.0
