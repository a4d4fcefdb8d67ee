"""The HTTP face: numbers by bearer token, the page by a session, and how whatever goes wrong looks from outside."""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.insights.asking import RECOMMENDATIONS, ForList, Question, question, route_of
from services.insights.library import Library
from services.insights.numbers import KEPT_BY, Answer
from services.insights.openapi import document
from services.insights.pages import Pages
from services.insights.refusals import RETRY_AFTER_SECONDS, Code, Refusal
from services.kernel.errors import StoreUnavailable
from services.kernel.http import metering
from services.kernel.http.doorkeeper import Doorkeeper, TokenWrong
from services.kernel.http.objecting import objects
from services.kernel.telemetry import log, metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Shelf = Library[tuple[str, Question], Answer]

MOST_TAGS_BYTES = 2_048
"""Of `If-None-Match`; what is longer is not looked at, and the whole answer given."""

_log = log.get(__name__)
_DOCUMENT = orjson.dumps(document())
_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


class Door:
    """The ASGI application: counts what it answers, and lets no exception out, whose report could quote a value."""

    def __init__(self, readers: Doorkeeper, shelf: Shelf, pages: Pages) -> None:
        self._readers = readers
        self._shelf = shelf
        self._pages = pages
        self.routes = [
            Route("/", pages.home, methods=["GET"]),
            Route("/sign-in", pages.form, methods=["GET"]),
            Route("/sign-in", pages.sign_in, methods=["POST"], name="enter"),
            Route("/sign-out", pages.sign_out, methods=["POST"]),
            Route(pages.style_path, pages.style, methods=["GET"]),
            Route("/openapi.json", _describe, methods=["GET"]),
        ]
        self._templates: dict[Any, str] = {route.endpoint: route.path for route in self.routes}
        self._app = Starlette(
            routes=self.routes,
            exception_handlers={
                Refusal: self._say_refusal, StoreUnavailable: self._say_away,
                HTTPException: self._say_status, Exception: self._say_fault,
            },
        )  # fmt: skip
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        route = route_of(scope["path"])
        # Numbers carry the load, and need neither a router nor layers of middleware to be found.
        if route:
            status = await self._give(scope, send)
        else:
            status = await metering.status_of(self._app, scope, receive, send, _log)
            route = self._templates.get(scope.get("endpoint"), "other")
        metering.note(route, status, time.perf_counter() - started_at)

    async def _give(self, scope: Scope, send: Send) -> int:
        """Answer a question for numbers; return the status."""
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Refusal(Code.METHOD_NOT_ALLOWED)
            authorization, tags, personal = _head(scope["headers"])
            storefront = await self._readers.bearer(authorization)
            asked = (storefront, question(scope["path"], scope["query_string"], personal))
            answer = self._shelf.ready(asked) or await self._shelf.get(asked)
        except Refusal as refusal:
            return await _refuse(send, refusal)
        except TokenWrong:
            return await _refuse(send, Refusal(Code.TOKEN_WRONG))
        except StoreUnavailable:
            return await _refuse(send, Refusal(Code.STORE_UNAVAILABLE))
        except Exception as error:  # noqa: BLE001 - the server's own report of it would quote a value
            _log.error("request failed", exc_info=error)
            return await _refuse(send, Refusal(Code.INTERNAL))
        if scope["path"] == RECOMMENDATIONS and isinstance(asked[1], ForList) and not asked[1].of:
            metrics.PERSONAL_REFUSED.inc()
        if tags and _known(tags, answer.tag):
            return await _send(send, 304, answer.unchanged, b"")
        return await _send(send, 200, answer.whole, answer.body)

    async def _say_refusal(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return self._pages.refused(error.reason)

    async def _say_away(self, request: Request, error: Exception) -> Response:
        return self._pages.refused(Code.STORE_UNAVAILABLE)

    async def _say_status(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._pages.refused(_BY_STATUS.get(error.status_code, Code.INTERNAL))

    async def _say_fault(self, request: Request, error: Exception) -> Response:
        return self._pages.refused(Code.INTERNAL)


async def _describe(request: Request) -> Response:
    return Response(_DOCUMENT, media_type="application/json", headers={"x-content-type-options": "nosniff"})


def _head(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes, bool]:
    """Return the token's header, the tags that are known already, and whether something personal is wanted."""
    authorization = tags = b""
    personal = True
    for name, value in headers:
        if name == b"authorization":
            authorization = value
        elif name == b"if-none-match":
            tags = value
        elif objects(name, value):
            personal = False
    return authorization, tags, personal


def _known(tags: bytes, tag: bytes) -> bool:
    """Say whether one of the tags is this one, by weak comparison (RFC 9110 §13.1.2)."""
    if len(tags) > MOST_TAGS_BYTES:
        return False
    listed = [each.strip().removeprefix(b"W/") for each in tags.split(b",")]
    return tag in listed or listed == [b"*"]


async def _refuse(send: Send, refusal: Refusal) -> int:
    status = refusal.status
    body = orjson.dumps({"code": refusal.reason})
    headers = [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"), (b"vary", dict(KEPT_BY)[b"vary"]), (b"x-content-type-options", b"nosniff"),
    ]  # fmt: skip
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    if status in RETRY_AFTER_SECONDS:
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS[status]).encode()))
    return await _send(send, status, headers, body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status
