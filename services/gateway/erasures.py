"""A customer's wish to be forgotten, as the storefront brings it: take it in, tell how far it is (R3)."""

import re
import secrets
from dataclasses import asdict, replace
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, StringConstraints, ValidationError

from schemas.envelope import Envelope, to_the_hour
from schemas.erasure import ErasureRequested
from schemas.ids import RANDOM_ID, RequestId, SubjectId
from schemas.privacy import Contract
from schemas.statements import commitment_of
from schemas.strict_json import violation
from schemas.topics import REQUESTS
from services.gateway.behind import Behind
from services.gateway.domain import RECEIVED, Request
from services.gateway.refusals import Code, Refusal
from services.gateway.store import Desk
from services.gateway.submission import parsed
from services.kernel.broker.interface import Message
from services.kernel.clock import Clock
from services.kernel.errors import StoreUnavailable
from services.kernel.failpoints import Step, step
from services.kernel.ids import derived_id, random_id
from services.kernel.sealing.interface import SubjectState

_ID = re.compile(RANDOM_ID)
Salt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}([0-9a-f]{32})?$")]


class Wish(BaseModel):
    """Body of `POST /v1/erasures`; a repeat of one that brings its own `id` and `salt` is the same request."""

    model_config = Contract.model_config

    subject: SubjectId
    id: RequestId | None = None
    salt: Salt | None = None


class Erasures:
    """The storefront's authenticated call is the verification; there is no cooling-off."""

    def __init__(self, desk: Desk, behind: Behind, clock: Clock, policy: str) -> None:
        self._desk = desk
        self._behind = behind
        self._clock = clock
        self._policy = policy

    async def ask(self, storefront: str, body: bytes) -> dict[str, str]:
        """Return what the storefront must keep, once Kafka has the request; the salt is told here and kept nowhere.

        Raises `Refusal`: 403 for another storefront's subject, 409 for an id that was used for something else.
        """
        wish = read_wish(body)
        with step(Step.KEYS):
            state = await self._behind.state(storefront, wish.subject)
        if state is SubjectState.FOREIGN:
            raise Refusal(Code.SUBJECT_FOREIGN, "subject")
        salt = wish.salt or secrets.token_hex(16)
        wanted = Request(wish.id or random_id(), storefront, commitment_of(salt, wish.subject))
        stored = await self._stored(wanted)
        if (stored.storefront, stored.commitment) != (wanted.storefront, wanted.commitment):
            raise Refusal(Code.REQUEST_DIFFERS, "id")
        if stored.state == RECEIVED:
            with step(Step.ASK):
                await self._behind.send((self._message(stored, wish.subject),))
        return {"request": stored.id, "salt": salt, "status_url": f"/v1/erasures/{stored.id}"}

    async def progress(self, storefront: str, request: str) -> dict[str, Any]:
        """Return how far a request is, who is missing, what is kept until when; 404 for another storefront's."""
        found = await self._found(storefront, request)
        told = asdict(found)
        shown = ("id", "state", "round", "joined", "missing", "missing_since", "kept", "unreadable_at")
        certificate = f"/v1/erasures/{found.id}/certificate" if found.certificate else None
        return {name: told[name] for name in shown} | {"certificate_url": certificate}

    async def certificate(self, storefront: str, request: str) -> str:
        """Return the newest certificate as a compact JWS; 404 while there is none."""
        found = await self._found(storefront, request)
        if not found.certificate:
            raise Refusal(Code.CERTIFICATE_PENDING)
        return found.certificate

    async def _stored(self, wanted: Request) -> Request:
        try:
            with step(Step.REQUEST):
                return await self._desk.receive(wanted)
        except StoreUnavailable:
            raise Refusal(Code.STORE_UNAVAILABLE) from None

    async def _found(self, storefront: str, request: str) -> Request:
        """Return a request as it stands; one that joined an earlier one stands where that one does."""
        found = await self._row(storefront, request)
        if found.joined is None:
            return found
        first = await self._row(storefront, found.joined)
        return replace(first, id=found.id, joined=first.id)

    async def _row(self, storefront: str, request: str) -> Request:
        if not _ID.fullmatch(request):
            # A path may hold anything, a NUL too, which the database would refuse in its own words.
            raise Refusal(Code.REQUEST_UNKNOWN)
        try:
            found = await self._desk.find(request)
        except StoreUnavailable:
            raise Refusal(Code.STORE_UNAVAILABLE) from None
        if found is None or found.storefront != storefront:
            raise Refusal(Code.REQUEST_UNKNOWN)
        return found

    def _message(self, request: Request, subject: str) -> Message:
        event = ErasureRequested(
            request=request.id, storefront=request.storefront, commitment=request.commitment
        )
        envelope = Envelope(
            # The same request is the same event, however often its answer was lost.
            id=derived_id("/workers/gateway", request.id, event.type, 0),
            type=event.type,
            source=f"/storefronts/{request.storefront}",
            time=to_the_hour(self._clock.now()),
            subject=subject,
            policy=self._policy,
        )
        return Message(REQUESTS.name, subject.encode(), event.model_dump_json().encode(), envelope.headers())


def read_wish(body: bytes) -> Wish:
    """Return the wish; raise `Refusal` with a code and a field path."""
    content = parsed(body)
    if not isinstance(content, dict):
        raise Refusal(Code.NOT_AN_OBJECT)
    try:
        wish = Wish.model_validate_json(orjson.dumps(content))
    except ValidationError as error:
        refusal = Refusal(*violation(error, Wish))
    else:
        if wish.id is None or wish.salt is not None:
            return wish
        # Without the first call's salt nobody could tell a repeat from another person's request.
        refusal = Refusal(Code.SALT_MISSING, "salt")
    raise refusal
