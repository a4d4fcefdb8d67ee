"""The HTTP face: which path does what, and how anything that goes wrong looks from outside."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.gateway.body import check_head, read_bytes, read_head
from services.gateway.erasures import Erasures
from services.gateway.intake import Intake
from services.gateway.jwks import CertificateKeys
from services.gateway.openapi import document
from services.gateway.refusals import RETRY_AFTER_SECONDS, Code, Reason, Refusal
from services.gateway.submission import Submission, read_body
from services.gateway.tokens import Doorkeeper
from services.kernel.telemetry import log, metrics

EVENTS_PER_TURN = 50
"""Events of one body that are read before other requests get a turn."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = log.get(__name__)
_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


class Door:
    """The ASGI application: counts what it answers, and lets no exception out, whose report could quote a value."""

    def __init__(
        self, doorkeeper: Doorkeeper, intake: Intake, erasures: Erasures, keys: CertificateKeys
    ) -> None:
        calls = _Calls(doorkeeper, erasures, keys)
        routes = [
            Route("/v1/events", _Events(doorkeeper, intake), methods=["POST"]),
            Route("/v1/erasures", calls.ask, methods=["POST"]),
            Route("/v1/erasures/{request}", calls.progress),
            Route("/v1/erasures/{request}/certificate", calls.certificate),
            Route("/.well-known/jwks.json", calls.jwks),
            Route("/openapi.json", calls.describe),
        ]
        self._templates: dict[Any, str] = {route.endpoint: route.path for route in routes}
        self._app = Starlette(
            routes=routes,
            exception_handlers={Refusal: _say_refusal, HTTPException: _say_status, Exception: _say_fault},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:  # noqa: BLE001 - answered already; the server's own report must not follow
            _log.error("request failed", exc_info=error)
        route = self._templates.get(scope.get("endpoint"), "other")
        metrics.HTTP_REQUESTS.labels(route=route, status=str(status)).inc()
        metrics.HTTP_SECONDS.labels(route=route).observe(time.perf_counter() - started_at)


class _Events:
    """`POST /v1/events`: one event or an array of them."""

    def __init__(self, doorkeeper: Doorkeeper, intake: Intake) -> None:
        self._doorkeeper = doorkeeper
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = read_head(scope["headers"])
        # Whoever may not call has no body read.
        storefront = await self._doorkeeper.storefront(head.authorization)
        check_head(head)
        single, read = read_body(await read_bytes(receive))
        items: list[Submission | Reason] = []
        for item in read:
            items.append(item)
            if len(items) % EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)
        reasons = await self._take(storefront, items, head.traceparent)
        response = _one_answer(reasons[0]) if single else _answers(reasons)
        await response(scope, receive, send)

    async def _take(
        self, storefront: str, items: Sequence[Submission | Reason], traceparent: str | None
    ) -> list[Reason | None]:
        submissions = [item for item in items if isinstance(item, Submission)]
        answers = iter(await self._intake.take(storefront, submissions, traceparent))
        reasons = [next(answers) if isinstance(item, Submission) else item for item in items]
        for item, reason in zip(items, reasons, strict=True):
            if reason is not None:
                metrics.EVENTS_REFUSED.labels(code=str(reason.code)).inc()
            elif isinstance(item, Submission):
                metrics.EVENTS_TAKEN.labels(storefront=storefront, type=item.form.event.type).inc()
        return reasons


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
        told = await self._erasures.ask(storefront, await read_bytes(request.receive))
        return _json(told, 202, {"location": told["status_url"]})

    async def progress(self, request: Request) -> Response:
        storefront = await self._storefront(request)
        return _json(await self._erasures.progress(storefront, request.path_params["request"]))

    async def certificate(self, request: Request) -> Response:
        storefront = await self._storefront(request)
        statement = await self._erasures.certificate(storefront, request.path_params["request"])
        return Response(statement, media_type="application/jose", headers=_NEVER_STORED)

    async def jwks(self, request: Request) -> Response:
        return Response(self._keys.document(), media_type="application/jwk-set+json")

    async def describe(self, request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    async def _storefront(self, request: Request) -> str:
        return await self._doorkeeper.storefront(read_head(request.scope["headers"]).authorization)


_NEVER_STORED = {"cache-control": "no-store"}


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(content), status, media_type="application/json", headers=_NEVER_STORED | (headers or {})
    )


_ACCEPTED = _json({"accepted": True}, 202)


def _one_answer(reason: Reason | None) -> Response:
    return _ACCEPTED if reason is None else _json(reason.body(), reason.status)


def _answers(reasons: Sequence[Reason | None]) -> Response:
    """Say for each event, in the order sent, what became of it; 207 where not all were accepted."""
    results = [
        {"status": 202} if reason is None else {"status": reason.status} | reason.body() for reason in reasons
    ]
    return _json({"results": results}, 207 if any(reasons) else 202)


async def _say_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    metrics.EVENTS_REFUSED.labels(code=str(error.code)).inc()
    headers: dict[str, str] = {}
    if error.status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status in (401, 408, 413, 415):
        # The rest of the body was not read, and is not going to be.
        headers["connection"] = "close"
    return _json(error.reason.body(), error.status, headers)


async def _say_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json(Reason(_BY_STATUS.get(error.status_code, Code.INTERNAL)).body(), error.status_code)


async def _say_fault(request: Request, error: Exception) -> Response:
    return _json(Reason(Code.INTERNAL).body(), 500)
