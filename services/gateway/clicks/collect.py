"""What browsers send about a page: taken without a cookie, a token or an identifier, or not at all.

In this order: whoever refuses or is a program is not read; a body is read as its adapter's words say; events become
pages; the address and user agent go with the pages into the anonymiser, for one call, and nowhere else.
"""

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson
from starlette.responses import Response

from services.gateway import answers
from services.gateway.body import LARGE_AT_ONCE, read_bytes
from services.gateway.clicks.adapters import ga4, segment, shopify, snowplow
from services.gateway.clicks.bots import Bots
from services.gateway.clicks.head import BODY_BYTES, Head, Network, address_of, check_head, read_head
from services.gateway.clicks.page import Page
from services.gateway.clicks.pages import pages_of
from services.gateway.clicks.reading import Reading
from services.gateway.clicks.site import Site
from services.gateway.clicks.sites import Sites
from services.gateway.clicks.vocabulary import REFUSED_BY_NAME, Drop
from services.gateway.refusals import Code, Reason, Refusal
from services.gateway.submission import parsed
from services.kernel.telemetry import log, metrics

COLLECT = "/v1/collect"
MOST_EVENTS = 500
"""Most events in one body."""
PAGES_PER_TURN = 4
"""Pages of one body that are made anonymous before other requests get a turn: the worst take a millisecond each."""
MOST_PARAMETERS = 20
_LISTS = ("events", "batch", "data")
"""Where a message holds its events, in one vocabulary or another; a new adapter's is added here."""
PREFLIGHT_SECONDS = 600
"""How long a browser may remember that it may call."""

_log = log.get(__name__)

Adapter = Callable[[Any], Reading]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope = MutableMapping[str, Any]


def _of_segment(kind: str) -> Adapter:
    return lambda body: segment.read(body, kind)


_SEGMENT = {
    **{f"/v1/{kind}": _of_segment(kind) for kind in ("track", "page", "identify", "group", "alias", "batch")},
    # What analytics.js calls: the first letter.
    **{
        f"/v1/{kind[0]}": _of_segment(kind)
        for kind in ("track", "page", "identify", "group", "alias", "batch")
    },
}
"""`identify`, `group` and `alias` are there so that a library finds them, and are dropped."""
ADAPTERS: dict[str, Adapter] = {
    COLLECT: ga4.read,
    "/v1/snowplow": snowplow.read,
    "/v1/shopify": shopify.read,
    **_SEGMENT,
}
"""Who reads what is posted to which path."""


class TakesPages(Protocol):
    """Where identity ends: the anonymiser."""

    def take(self, site: Site, address: str, agent: str, pages: Sequence[Page]) -> None:
        """Make cells of the pages and let them wait for a crowd; raises `Refusal` (503) where there is no tag key."""


class Collect:
    """Takes what browsers send. Remembers nobody."""

    def __init__(self, sites: Sites, anonymiser: TakesPages, trusted: Sequence[Network] = ()) -> None:
        self._sites = sites
        self._anonymiser = anonymiser
        self._trusted = trusted
        self._bots = Bots()
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._told_of_proxy = False

    async def take(self, scope: Scope, receive: Receive) -> Response:
        """Return the answer to a body of one of the `ADAPTERS`; raise `Refusal` where it is not taken."""
        head = read_head(scope["headers"])
        if head.refused:
            return _unread(Drop.REFUSED)
        adapter, named = ADAPTERS[scope["path"]], _named(scope, head)
        if not named and scope["path"] not in _SEGMENT:
            raise Refusal(Code.SITE_UNKNOWN)
        # Whoever may not call has no body read, and no pattern asked about the user agent: that takes longer.
        site = await self._site(named, head) if named else None
        if self._bots.is_bot(head.agent):
            return _unread(Drop.BOT)
        check_head(head)
        body = await self._body(head, receive)
        if site is None:
            site = await self._site(segment.write_key(body), head)
        reading = adapter(body)
        try:
            return await self._answer(site, head, scope, reading)
        except Refusal as refusal:
            return _opened(answers.of_refusal(refusal), head.origin)

    async def preflight(self, scope: Scope, _: Receive) -> Response:
        """Say whether pages of an origin may call, as CORS asks; raise `Refusal` where they may not."""
        head = read_head(scope["headers"])
        named = _named(scope, head)
        # Only a query names the shop in a preflight: analytics.js sends text/plain, which needs none.
        await self._site(named, head)
        return _opened(
            Response(
                status_code=204,
                headers={
                    "access-control-allow-methods": "POST",
                    "access-control-allow-headers": "content-type",
                    "access-control-max-age": str(PREFLIGHT_SECONDS),
                    "vary": "origin",
                },
            ),
            head.origin,
        )

    async def _site(self, named: str, head: Head) -> Site:
        site = await self._sites.find(named)
        # Every browser says the origin of a page that posts; of a program that forges it, nothing proves otherwise.
        if head.origin.decode("latin-1") not in site.origins:
            raise Refusal(Code.ORIGIN_FOREIGN)
        return site

    async def _body(self, head: Head, receive: Receive) -> Any:
        if head.large:
            async with self._large:
                body = parsed(await read_bytes(receive, BODY_BYTES), BODY_BYTES)
        else:
            body = parsed(await read_bytes(receive, BODY_BYTES), BODY_BYTES)
        # Counted before anything reads them one by one.
        if _events_in(body) > MOST_EVENTS:
            raise Refusal(Code.TOO_MANY_EVENTS)
        if head.large:
            await asyncio.sleep(0)
        return body

    async def _answer(self, site: Site, head: Head, scope: Scope, reading: Reading) -> Response:
        if head.large:
            await asyncio.sleep(0)
        pages = pages_of(reading, site)
        try:
            if pages:
                await self._anonymise(site, head, scope, pages)
        finally:
            _count(reading)
        return _told(reading, pages, head.origin)

    async def _anonymise(self, site: Site, head: Head, scope: Scope, pages: Sequence[Page]) -> None:
        if head.forwarded_for and not self._trusted:
            self._tell_of_proxy()
        peer = scope.get("client")
        address = address_of(peer[0] if peer else "", head, self._trusted)
        agent = head.agent.decode("latin-1")
        for start in range(0, len(pages), PAGES_PER_TURN):
            if start:
                await asyncio.sleep(0)
            self._anonymiser.take(site, address, agent, pages[start : start + PAGES_PER_TURN])

    def _tell_of_proxy(self) -> None:
        """Say once that a proxy seems to stand before the gateway: its visitors would be told apart by browser only."""
        if not self._told_of_proxy:
            self._told_of_proxy = True
            _log.warning("proxy not trusted")


def _named(scope: Scope, head: Head) -> str:
    """Return the shop's id as the query says it, or the write key of one of Segment's libraries."""
    for part in scope["query_string"].split(b"&", MOST_PARAMETERS):
        # A shop's id has nothing that would have to be escaped.
        if part.startswith(b"shop="):
            return str(part[5:].decode("latin-1"))
    return _basic(head.authorization) if head.authorization else ""


def _events_in(body: Any) -> int:
    """Return how many events a body holds at most: those of each message in it, whoever reads it."""
    if type(body) is not list or len(body) > MOST_EVENTS:
        return len(body) if type(body) is list else _events_of(body)
    return sum(map(_events_of, body))


def _events_of(message: Any) -> int:
    lists = [message.get(name) for name in _LISTS] if type(message) is dict else []
    # Each adapter reads a list of its own, so the longest counts: a short one before it hides nothing.
    return max((len(each) for each in lists if type(each) is list and each), default=1)


def _basic(authorization: bytes) -> str:
    """Return the user name of an HTTP basic authorization, where Segment's libraries put the write key; or nothing."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")[0]
    except ValueError:
        return ""


def _unread(why: Drop) -> Response:
    """Answer somebody of whom nothing is kept; whatever page it was may see that."""
    metrics.CLICKS_DROPPED.labels(str(why)).inc()
    return Response(status_code=204, headers={"access-control-allow-origin": "*"})


def _count(reading: Reading) -> None:
    for why, count in reading.dropped.items():
        metrics.CLICKS_DROPPED.labels(str(why)).inc(count)
    for name, count in reading.identity.items():
        metrics.CLICKS_IDENTITY.labels(name).inc(count)


def _told(reading: Reading, pages: Sequence[Page], origin: bytes) -> Response:
    """Answer what was read, and say by name what was not taken."""
    if pages and not reading.dropped:
        return _taken(origin)
    refused = REFUSED_BY_NAME & reading.dropped.keys()
    if refused and not pages:
        return _opened(answers.of_one(Reason(min(refused))), origin)
    dropped = {str(why): count for why, count in sorted(reading.dropped.items())}
    return _opened(answers.json({"accepted": bool(pages), "dropped": dropped}, 202), origin)


@lru_cache(maxsize=1_000)
def _taken(origin: bytes) -> Response:
    """Return the answer that is given most; the origin is one of a shop's own."""
    return _opened(Response(orjson.dumps({"accepted": True}), 202, media_type="application/json"), origin)


def _opened(answer: Response, origin: bytes) -> Response:
    """Let the pages of an origin read an answer: a shop's own origin, compared before."""
    answer.headers["access-control-allow-origin"] = origin.decode("latin-1")
    return answer
