"""`Lethe`: what a shop calls. Returns at once, sends in the background, never raises into the shop."""

import atexit
import functools
import json
import logging
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from .courier import Courier, TryAgain
from .encoding import EVENT_BYTES, encoded
from .ids import new_event_id, new_id, this_hour
from .queue import ACCEPTED, Erasure, Item, Limits, Report
from .sender import OnError, Sender

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("lethe_storefront")


def _quiet(method: Callable[P, R]) -> Callable[P, R | None]:
    """Turn anything that goes wrong, wrong arguments included, into a counted refusal and None."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the shop's checkout must not fail because of us
            shop = args[0]
            if isinstance(shop, Lethe):
                shop._sender.refuse(f"wrong-use-{type(error).__name__}")
            return None

    return call


class Lethe:
    """One gateway, one storefront's token, one background thread. Make one per process and keep it.

    `on_error(code, ids)` is told of everything refused or tried again, from the background thread, so it should be
    quick and must not flush; no code holds a customer's value. `send=False` is for a shop's own tests: nothing leaves,
    everything is in `kept`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        on_error: OnError | None = None,
        send: bool = True,
        timeout_seconds: float = 10.0,
        exit_seconds: float = 5.0,
        **limits: float,
    ) -> None:
        """`limits` are fields of `Limits`; `exit_seconds` is how long the end of the process may wait for `flush`."""
        known = _limits(limits)
        self.kept: deque[dict[str, Any]] = deque(maxlen=known.queue_events)
        self._send = send
        self._hopeless = _what_is_wrong(url, token) if send else ""
        self._sender = Sender(lambda: Courier(url, token, timeout_seconds), known, on_error)
        # A weak reference: the end of the process must not keep every client alive until then.
        self._at_exit = functools.partial(_close_at_exit, weakref.ref(self._sender), exit_seconds)
        atexit.register(self._at_exit)

    def new_subject(self) -> str:
        """Return an id for a customer; a guest gets one per checkout. Keep it with the account, never reuse it."""
        return new_id()

    def new_order(self) -> str:
        """Return an id for an order; the shop's own order number belongs into the basket, where it is sealed."""
        return new_id()

    @_quiet
    def place(
        self, subject: str, order: str, *, carrier: str, basket: Mapping[str, Any], ship_to: Mapping[str, Any]
    ) -> str | None:
        """Say that a customer has ordered; return the event's id, None if it cannot even wait."""
        data = {"order": order, "carrier": carrier, "basket": basket, "ship_to": ship_to}
        return self._put("lethe.order.placed.v1", subject, data, "")

    @_quiet
    def pay(self, subject: str, order: str, *, invoice: Mapping[str, Any]) -> str | None:
        """Say that an order was paid."""
        return self._put("lethe.order.paid.v1", subject, {"order": order, "invoice": invoice}, "")

    @_quiet
    def cancel(self, subject: str, order: str, *, reason: str = "customer") -> str | None:
        """Say that an order was cancelled: customer, stock, payment, fraud or other."""
        return self._put("lethe.order.cancelled.v1", subject, {"order": order, "reason": reason}, "")

    @_quiet
    def event(self, type: str, subject: str, data: Mapping[str, Any], *, id: str = "") -> str | None:
        """Say anything the gateway knows; a shop that repeats an event by itself gives the same `id`."""
        return self._put(type, subject, data, id)

    @_quiet
    def erase(self, subject: str, *, request: str = "", salt: str = "") -> Erasure | None:
        """Ask that a customer be forgotten, after everything said of them before; keep what is returned.

        A shop that repeats a wish by itself gives the same `request` and `salt`.
        """
        erasure = Erasure(request or new_id(), salt or new_id())
        wish = {"id": erasure.request, "subject": subject, "salt": erasure.salt}
        return erasure if self._hand_over(erasure.request, wish, erasure) else None

    @_quiet
    def erasure_status(self, request: str) -> dict[str, Any] | None:
        """Return how far a request is, None when that cannot be had now. Waits for the gateway's answer."""
        answer = self._get(f"/v1/erasures/{request}")
        return dict(json.loads(answer)) if answer is not None else None

    @_quiet
    def certificate(self, request: str) -> str | None:
        """Return a request's certificate, a compact JWS, None while there is none. Waits for the gateway's answer."""
        answer = self._get(f"/v1/erasures/{request}/certificate")
        return answer.decode("ascii") if answer is not None else None

    @_quiet
    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Send what waits, now; return whether nothing waits any more."""
        return self._sender.queue.drained(timeout_seconds)

    @_quiet
    def close(self, timeout_seconds: float = 10.0) -> bool:
        """Flush, then end; return whether everything was sent. What was not is told to `on_error` as `unsent`."""
        atexit.unregister(self._at_exit)
        return self._sender.close(timeout_seconds)

    def report(self) -> Report:
        """Return how many were accepted, were refused (by code) and still wait."""
        return self._sender.report()

    def _put(self, type: str, subject: str, data: Mapping[str, Any], id: str) -> str | None:
        name = id or new_event_id()
        event = {"id": name, "type": type, "subject": subject, "time": this_hour(), "data": data}
        return name if self._hand_over(name, event, None) else None

    def _hand_over(self, name: str, content: dict[str, Any], erasure: Erasure | None) -> bool:
        # Encoded here and now: what the shop changes in its dicts afterwards changes nothing.
        body = encoded(content)
        refused = self._hopeless or ("event-too-large" if len(body) > EVENT_BYTES else "")
        if refused:
            self._sender.refuse(refused, (name,))
            return False
        if self._send:
            return self._sender.put(Item(name, body, erasure))
        self.kept.append(json.loads(body))
        self._sender.queue.count(ACCEPTED)
        if erasure is not None:
            erasure.settle(ACCEPTED)
        return True

    def _get(self, path: str) -> bytes | None:
        if self._hopeless or not self._send:
            return None
        try:
            answer = self._sender.courier().get(path)
        except TryAgain as error:
            self._sender.say(error.code, ())
            return None
        return answer.content if answer.is_success else None


def _what_is_wrong(url: object, token: object) -> str:
    """Return the code of what makes sending hopeless, empty if nothing."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "url-wrong"
    sayable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token
    return "" if sayable and token else "token-missing"


def _limits(chosen: Mapping[str, Any]) -> Limits:
    """Return the limits; what is unknown or no positive number is said and left out, not raised."""
    fields = Limits.__dataclass_fields__
    known: dict[str, Any] = {
        name: value
        for name, value in chosen.items()
        if name in fields and isinstance(value, int | float) and value > 0
    }
    for name in chosen.keys() - known.keys():
        _log.warning("setting ignored: %s", name)
    return Limits(**known)


def _close_at_exit(reference: "weakref.ref[Sender]", exit_seconds: float) -> None:
    sender = reference()
    if sender is not None and sender.report().waiting:
        sender.close(exit_seconds)
