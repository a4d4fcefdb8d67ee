"""The HTTP face: which path does what, and how anything that goes wrong looks from outside."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.gateway import answers
from services.gateway.body import LARGE_BYTES, check_head, read_bytes, read_head
from services.gateway.clicks import snippet
from services.gateway.clicks.collect import ADAPTERS, Collect
from services.gateway.erasures import Erasures
from services.gateway.events import Events
from services.gateway.jwks import CertificateKeys
from services.gateway.openapi import document
from services.gateway.refusals import Code, Refusal
from services.gateway.tokens import Doorkeeper
from services.kernel.http.metering import note, status_of
from services.kernel.telemetry import log, metrics

EVENTS = "/v1/events"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Take = Callable[[Scope, Receive], Awaitable[Response]]

_log = log.get(__name__)
_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


class Door:
    """The ASGI application: counts what it answers, and lets no exception out, whose report could quote a value."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        events: Events,
        erasures: Erasures,
        keys: CertificateKeys,
        collect: Collect,
    ) -> None:
        calls = _Calls(doorkeeper, erasures, keys)
        self._events = events
        # Events and clicks carry the load, and need neither a router nor layers of middleware to be found.
        self._direct: dict[tuple[str, str], Take] = {
            ("POST", EVENTS): self._events.take,
            **{("POST", path): collect.take for path in ADAPTERS},
            **{("OPTIONS", path): collect.preflight for path in ADAPTERS},
        }
        self.routes = [
            *(
                Route(path, partial(_direct, take), methods=[method])
                for (method, path), take in self._direct.items()
            ),
            Route("/v1/erasures", calls.ask, methods=["POST"]),
            Route("/v1/erasures/{request}", calls.progress),
            Route("/v1/erasures/{request}/certificate", calls.certificate),
            Route("/.well-known/jwks.json", calls.jwks),
            Route("/openapi.json", calls.describe),
            Route("/collect.js", calls.snippet),
            Route("/.well-known/gpc.json", calls.gpc),
        ]
        self._templates: dict[Any, str] = {route.endpoint: route.path for route in self.routes}
        self._app = Starlette(
            routes=self.routes,
            exception_handlers={Refusal: _say_refusal, HTTPException: _say_status, Exception: _say_fault},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        take = self._direct.get((scope["method"], scope["path"]))
        if take is not None:
            response = await _safely(take, scope, receive)
            route, status = scope["path"], response.status_code
            await response(scope, receive, send)
        else:
            status = await status_of(self._app, scope, receive, send, _log)
            route = self._templates.get(scope.get("endpoint"), "other")
        note(route, status, time.perf_counter() - started_at)


class _Calls:
    """Everything but events: seldom called."""

    def __init__(self, doorkeeper: Doorkeeper, erasures: Erasures, keys: CertificateKeys) -> None:
        self._doorkeeper = doorkeeper
        self._erasures = erasures
        self._keys = keys
        self._document = orjson.dumps(document())

    async def ask(self, request: Request) -> Response:
        head = read_head(request.scope["headers"])
        storefront = await self._doorkeeper.storefront(head.authorization)
        check_head(head)
        told = await self._erasures.ask(storefront, await read_bytes(request.receive, LARGE_BYTES))
        return answers.json(told, 202, {"location": told["status_url"]})

    async def progress(self, request: Request) -> Response:
        storefront = await self._storefront(request)
        return answers.json(await self._erasures.progress(storefront, request.path_params["request"]))

    async def certificate(self, request: Request) -> Response:
        storefront = await self._storefront(request)
        statement = await self._erasures.certificate(storefront, request.path_params["request"])
        return answers.plain(statement, "application/jose")

    async def jwks(self, request: Request) -> Response:
        return Response(self._keys.document(), media_type="application/jwk-set+json")

    async def describe(self, request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    async def snippet(self, request: Request) -> Response:
        return snippet.answer(request.headers.get("if-none-match", ""))

    async def gpc(self, request: Request) -> Response:
        return Response(snippet.GPC, media_type="application/json")

    async def _storefront(self, request: Request) -> str:
        return await self._doorkeeper.storefront(read_head(request.scope["headers"]).authorization)


async def _safely(take: Take, scope: Scope, receive: Receive) -> Response:
    try:
        return await take(scope, receive)
    except Refusal as refusal:
        metrics.EVENTS_REFUSED.labels(code=str(refusal.code)).inc()
        return answers.of_refusal(refusal)
    except Exception as error:  # noqa: BLE001 - the server's own report of it would quote a value
        _log.error("request failed", exc_info=error)
        return answers.of_fault()


async def _direct(take: Take, request: Request) -> Response:
    """Answer where the router was asked all the same; it has the path in order to say 405 for other methods."""
    return await take(request.scope, request.receive)


async def _say_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    metrics.EVENTS_REFUSED.labels(code=str(error.code)).inc()
    return answers.of_refusal(error)


async def _say_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answers.of_refusal(Refusal(_BY_STATUS.get(error.status_code, Code.INTERNAL)))


async def _say_fault(request: Request, error: Exception) -> Response:
    return answers.of_fault()
