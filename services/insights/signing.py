"""Who is signed in at the page: a form takes the reading token, a cookie carries a session's own secret.

The cookie is HttpOnly and SameSite=Strict, and every form must come from the page itself, signing in included: nobody
is led to another shop's page, or out of their own, by a link or a foreign form.
"""

from collections import OrderedDict
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from services.insights.desk import SESSION, Desk
from services.insights.refusals import Code, Refusal
from services.kernel.clock import Clock
from services.kernel.http.doorkeeper import Doorkeeper, TokenWrong, digest_of, new_token
from services.kernel.telemetry import metrics

MINUTE_SECONDS = 60.0
MOST_ADDRESSES = 10_000
MOST_TOKEN_CHARACTERS = 200
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

RawHeaders = Sequence[tuple[bytes, bytes]]


class Attempts:
    """Counts attempts per address within a minute; forgets the address then, and the oldest where there are too many.

    A token cannot be guessed, so this spares the database and the log, and one address cannot use up another's.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, address: str) -> None:
        """Count one; raise `Refusal` where it is one too many."""
        now = self._clock.monotonic()
        while self._counted and next(iter(self._counted.values()))[0] <= now - MINUTE_SECONDS:
            self._counted.popitem(last=False)
        since, count = self._counted.get(address, (now, 0))
        if count >= self._per_minute:
            raise Refusal(Code.TOO_MANY_ATTEMPTS)
        self._counted[address] = (since, count + 1)
        if len(self._counted) > MOST_ADDRESSES:
            self._counted.popitem(last=False)


class Signing:
    """Opens, recognises and ends sessions."""

    def __init__(self, desk: Desk, attempts: Attempts, clock: Clock) -> None:
        self._desk = desk
        self._attempts = attempts
        # Sessions are looked up as tokens are: a revoked token ends its sessions within five seconds.
        self._sessions = Doorkeeper(desk.sessions, clock)

    async def storefront(self, headers: RawHeaders) -> str | None:
        """Return whose page is signed in to; None for nobody's. Raises `StoreUnavailable`."""
        session = session_of(headers)
        if not session:
            return None
        try:
            return await self._sessions.owner(session.encode())
        except TokenWrong:
            return None

    async def sign_in(self, headers: RawHeaders, address: str, token: str) -> str:
        """Return the `Set-Cookie` of a new session; raise `Refusal` for too many attempts or a wrong token."""
        try:
            self._attempts.note(address)
        except Refusal:
            metrics.SIGN_INS.labels(ending="limited").inc()
            raise
        session = new_token()
        digest = digest_of(session.encode())
        good = len(token) <= MOST_TOKEN_CHARACTERS
        if not (good and await self._desk.sign_in(digest, digest_of(token.encode("utf-8", "replace")))):
            metrics.SIGN_INS.labels(ending="wrong").inc()
            raise Refusal(Code.TOKEN_WRONG)
        metrics.SIGN_INS.labels(ending="in").inc()
        # The browser is on its way to the page, and must not be led back to the form.
        await self._sessions.learn()
        return _cookie(headers, session, int(SESSION.total_seconds()))

    async def sign_out(self, headers: RawHeaders) -> str:
        """End the session; return the `Set-Cookie` that takes it away."""
        session = session_of(headers)
        if session:
            await self._desk.sign_out(digest_of(session.encode()))
            await self._sessions.learn()
        return _cookie(headers, "", 0)


def session_of(headers: RawHeaders) -> str:
    """Return the session that the browser carries, "" for none."""
    name = _name(headers)
    for header, value in headers:
        if header == b"cookie" and len(value) <= 8_192:
            try:
                found = SimpleCookie(value.decode("latin-1")).get(name)
            except CookieError:
                continue
            if found is not None and len(found.value) <= MOST_TOKEN_CHARACTERS and found.value.isascii():
                return found.value
    return ""


def refuse_from_elsewhere(headers: RawHeaders) -> None:
    """Raise `Refusal` for a form that was not sent from this page.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; who says neither is refused.
    """
    site = _header(headers, b"sec-fetch-site")
    origin = _header(headers, b"origin")
    if origin and origin.partition("://")[2] != _header(headers, b"host"):
        raise Refusal(Code.FROM_ELSEWHERE)
    if site not in (("", "same-origin") if origin else ("same-origin",)):
        raise Refusal(Code.FROM_ELSEWHERE)


def _secure(headers: RawHeaders) -> bool:
    """Say whether the cookie may only travel encrypted: always, but on this very machine.

    Whoever stands between a browser and the page cannot make the browser believe that it talks to its own machine.
    """
    try:
        return urlsplit("//" + _header(headers, b"host")).hostname not in _LOOPBACK
    except ValueError:
        return True


def _name(headers: RawHeaders) -> str:
    # The prefix makes browsers refuse a cookie of that name from any other host, or without encryption.
    return "__Host-lethe" if _secure(headers) else "lethe"


def _cookie(headers: RawHeaders, value: str, seconds: int) -> str:
    secure = "; Secure" if _secure(headers) else ""
    return f"{_name(headers)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _header(headers: RawHeaders, name: bytes) -> str:
    return next((value.decode("latin-1") for header, value in headers if header == name), "")
