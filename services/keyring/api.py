"""The keyring over HTTP: JSON in, JSON out, a bearer token per principal, batches of at most 1,000.

POST /v1/mint {storefront, keys: [{subject, category, scope}], subjects: [id]}
    → {keys: [{kid, key} | {refused}], subjects: ["active" | "erasing" | "erased" | "foreign"]}
POST /v1/open {purpose, kids: [kid]}
    → {keys: [{kid, key, subject, category, scope} | {refused}], lease_seconds}
POST /v1/tag-key {} → {number, key, dies_in_seconds}
GET /v1/subjects/{id} · GET /v1/openings · GET /v1/keks · POST /v1/keks/rotations {category?} · GET
/v1/keys.jwks

Errors are `{"error": code}`: 400 contract, 401 no token of ours, 403 no right, 413 too long, 429 too fast,
503 not ready or a dependency away.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.ids import NAME_FORM, RANDOM_ID
from schemas.privacy import Category, Purpose
from services.kernel.errors import LetheError, RetryableError
from services.kernel.sealing.interface import MOST_PER_CALL, Refused
from services.kernel.sealing.keys import KeyRef, encoded
from services.kernel.sealing.lease import LEASE_SECONDS
from services.kernel.telemetry import log
from services.keyring import rights
from services.keyring.limits import Limits
from services.keyring.minting import NewKey
from services.keyring.opening import Denied, OpenKey
from services.keyring.receipts import Signer
from services.keyring.service import KeyringService

BODY_BYTES = 512 * 1024
_log = log.get("keyring-api")

Id = Annotated[str, StringConstraints(pattern=RANDOM_ID)]
Kid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


B = TypeVar("B", bound=_Body)


class KeyBody(_Body):
    """What a new key is for."""

    subject: Id
    category: Category
    scope: Id


class MintBody(_Body):
    """`POST /v1/mint`."""

    storefront: Annotated[str, StringConstraints(pattern=NAME_FORM)]
    keys: Annotated[list[KeyBody], Field(max_length=MOST_PER_CALL)]
    subjects: Annotated[list[Id], Field(max_length=MOST_PER_CALL)] = []


class OpenBody(_Body):
    """`POST /v1/open`."""

    purpose: Purpose
    kids: Annotated[list[Kid], Field(max_length=MOST_PER_CALL)]


class RotationBody(_Body):
    """`POST /v1/keks/rotations`; no category means all."""

    category: Category | None = None


class Problem(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Api:
    """The ASGI application's parts."""

    service: KeyringService
    guests: rights.Guests
    limits: Limits
    signer: Signer
    ready: Callable[[], bool]
    """False: holds and commands are not replayed yet, and nobody is served."""
    rotate: Callable[[Category | None], Awaitable[Sequence[Category]]]
    """Begin rotations; return of which categories, once that is durable."""

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/mint", self._answering(self._mint), methods=["POST"]),
                Route("/v1/open", self._answering(self._open), methods=["POST"]),
                Route("/v1/tag-key", self._answering(self._tag_key), methods=["POST"]),
                Route("/v1/subjects/{id}", self._answering(self._subject)),
                Route("/v1/openings", self._answering(self._openings)),
                Route("/v1/keks", self._answering(self._keks)),
                Route("/v1/keks/rotations", self._answering(self._rotate), methods=["POST"]),
                Route("/v1/keys.jwks", self._answering(self._jwks)),
            ]
        )

    async def _mint(self, request: Request) -> Any:
        principal = self._principal(request)
        allowed = rights.may_mint(principal)
        if not allowed:
            raise Problem(403, "no-right")
        self._check_ready()
        body = await _body(request, MintBody)
        wanted = [KeyRef(key.subject, key.category, key.scope) for key in body.keys]
        granted = [ref for ref in wanted if ref.category in allowed]
        keys, states = await self.service.mint(principal, body.storefront, granted, body.subjects)
        answers = iter(keys)
        return {
            "keys": [
                _minted(next(answers) if ref.category in allowed else Refused.CATEGORY_FORBIDDEN)
                for ref in wanted
            ],
            "subjects": states,
        }

    async def _open(self, request: Request) -> Any:
        principal = self._principal(request)
        self._check_ready()
        body = await _body(request, OpenBody)
        categories = rights.may_open(principal, body.purpose)
        if not categories:
            raise Problem(403, "no-right")
        if not self.limits.take(principal, len(body.kids)):
            raise Problem(429, "too-fast")
        keys = await self.service.open(principal, body.purpose, categories, body.kids)
        return {"keys": [_opened(key) for key in keys], "lease_seconds": LEASE_SECONDS}

    async def _tag_key(self, request: Request) -> Any:
        if not rights.may_tag(self._principal(request)):
            raise Problem(403, "no-right")
        self._check_ready()
        await _body(request, _Body)
        key = await self.service.tag_key()
        return {
            "number": key.number,
            "key": encoded(key.material),
            "dies_in_seconds": key.dies_in_seconds,
        }

    async def _subject(self, request: Request) -> Any:
        self._principal(request, rights.INSPECTS)
        self._check_ready()
        name = request.path_params["id"]
        subject = await self.service.subject(name) if re.fullmatch(RANDOM_ID, name) else None
        if subject is None:
            raise Problem(404, "subject-unknown")
        pairs = [
            {"scope": pair_id.scope, "category": pair_id.category, "ground": pair.ground, "until": pair.until,
             "keys": pair.live}
            for pair_id, pair in sorted(subject.pairs.items())
        ]  # fmt: skip
        return {"state": subject.state, "request": subject.request, "pairs": pairs}

    async def _openings(self, request: Request) -> Any:
        self._principal(request, rights.INSPECTS)
        return {"openings": await self.service.openings()}

    async def _keks(self, request: Request) -> Any:
        self._principal(request, rights.INSPECTS)
        return {"keks": await self.service.keks()}

    async def _rotate(self, request: Request) -> Any:
        self._principal(request, rights.ROTATES)
        return {"begun": await self.rotate((await _body(request, RotationBody)).category)}

    async def _jwks(self, request: Request) -> Any:
        return {"keys": [self.signer.jwk()]}

    def _principal(self, request: Request, allowed: frozenset[str] | None = None) -> str:
        principal = self.guests.principal(request.headers.get("authorization", ""))
        if principal is None:
            raise Problem(401, "token-unknown")
        if allowed is not None and principal not in allowed:
            raise Problem(403, "no-right")
        return principal

    def _check_ready(self) -> None:
        if not self.ready():
            raise Problem(503, "not-ready")

    def _answering(
        self, answer: Callable[[Request], Awaitable[Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return _json(200, await answer(request))
            except Problem as problem:
                return _json(problem.status, {"error": problem.code})
            except RetryableError as error:
                _log.warning("cannot answer", code=error.code)
                return _json(503, {"error": "unavailable"})
            except LetheError as error:
                _log.error("cannot answer", code=error.code, **error.fields)
                return _json(500, {"error": "misconfigured"})
            except Exception as error:  # noqa: BLE001 - a traceback could show what was being handled
                _log.error("bug", error=type(error).__name__, exc_info=error)
                return _json(500, {"error": "bug"})

        return endpoint


async def _body(request: Request, form: type[B]) -> B:
    received = bytearray()
    try:
        async for part in request.stream():
            received += part
            if len(received) > BODY_BYTES:
                raise Problem(413, "too-long")
    except ClientDisconnect:
        raise Problem(400, "contract") from None
    try:
        return form.model_validate_json(bytes(received))
    except ValidationError:
        # What was wrong with which value is nobody's business here: both ends are ours.
        raise Problem(400, "contract") from None


def _minted(key: NewKey | Refused) -> dict[str, str]:
    return {"kid": key.kid, "key": encoded(key.material)} if isinstance(key, NewKey) else {"refused": key}


def _opened(key: OpenKey | Denied) -> dict[str, str]:
    if isinstance(key, Denied):
        return {"refused": Denied.UNKNOWN if key is Denied.BROKEN else key}
    ref = key.ref
    return {"kid": key.kid, "key": encoded(key.material), "subject": ref.subject,
            "category": ref.category, "scope": ref.scope}  # fmt: skip


def _json(status: int, answer: Any) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(answer), status, headers, media_type="application/json")
