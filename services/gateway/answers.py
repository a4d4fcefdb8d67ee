"""What a sender sees: statuses, headers and JSON bodies, for what was taken and what was not."""

from collections.abc import Sequence

import orjson
from starlette.responses import Response

from services.gateway.refusals import RETRY_AFTER_SECONDS, Code, Reason, Refusal

_NEVER_STORED = {"cache-control": "no-store"}


def json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer that no cache keeps."""
    return Response(
        orjson.dumps(content), status, media_type="application/json", headers=_NEVER_STORED | (headers or {})
    )


def plain(content: str, media_type: str) -> Response:
    """Return a text that no cache keeps."""
    return Response(content, media_type=media_type, headers=_NEVER_STORED)


# No cache keeps the answer to a POST; one header less in the answer that is given most.
ACCEPTED = Response(b'{"accepted":true}', 202, media_type="application/json")


def of_one(reason: Reason | None) -> Response:
    """Say what became of a single event."""
    return ACCEPTED if reason is None else json(reason.body(), reason.status)


def of_several(reasons: Sequence[Reason | None]) -> Response:
    """Say for each event, in the order sent, what became of it; 207 where not all were accepted."""
    results = [
        {"status": 202} if reason is None else {"status": reason.status} | reason.body() for reason in reasons
    ]
    return json({"results": results}, 207 if any(reasons) else 202)


def of_refusal(refusal: Refusal) -> Response:
    """Say why the whole call is refused, and when to come again."""
    headers: dict[str, str] = {}
    if refusal.status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    if refusal.status in (401, 408, 413, 415):
        # The rest of the body was not read, and is not going to be.
        headers["connection"] = "close"
    return json(refusal.reason.body(), refusal.status, headers)


def of_fault() -> Response:
    """Say that it is not the sender's fault, and nothing else."""
    return json(Reason(Code.INTERNAL).body(), 500)
