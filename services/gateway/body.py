"""What a request may look like before anyone parses it: its headers, its size, its time."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.refusals import Code, Refusal
from services.gateway.submission import BODY_BYTES

BODY_SECONDS = 30.0
"""How long a body may take to arrive."""
LARGE_BYTES = 64 * 1024
"""Larger bodies, and those of unannounced length, take turns, so that many at once do not fill the memory."""
LARGE_AT_ONCE = 16

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# W3C Trace Context §3.2: a valid one is passed on, any other is dropped, as the recommendation asks.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_JSON = re.compile(rb'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


@dataclass(slots=True)
class BodyHead:
    """The headers that say what a body is, and whose; the others are never looked at."""

    authorization: bytes = b""
    content_type: bytes = b""
    content_encoding: bytes = b""
    content_length: bytes = b""

    @property
    def large(self) -> bool:
        """Whether its body may be a large one."""
        return not self.content_length.isdigit() or int(self.content_length[:20]) > LARGE_BYTES


@dataclass(slots=True)
class Head(BodyHead):
    """The few headers of a storefront that matter."""

    traceparent: str | None = None


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Return the headers that matter; of a header said twice, the last."""
    head = Head()
    for name, value in headers:
        match name:
            case b"authorization":
                head.authorization = value
            case b"content-type":
                head.content_type = value
            case b"content-encoding":
                head.content_encoding = value
            case b"content-length":
                head.content_length = value
            case b"traceparent" if _TRACEPARENT.fullmatch(value):
                head.traceparent = value.decode("ascii")
    return head


def check_head(head: BodyHead, kind: re.Pattern[bytes] = _JSON, most_bytes: int = BODY_BYTES) -> None:
    """Raise `Refusal` for a body that need not be read: wrong kind, or announced too long."""
    if not kind.fullmatch(head.content_type):
        raise Refusal(Code.CONTENT_TYPE)
    if head.content_encoding not in (b"", b"identity"):
        raise Refusal(Code.CONTENT_ENCODING)
    if head.content_length.isdigit() and int(head.content_length[:20]) > most_bytes:
        raise Refusal(Code.BODY_TOO_LARGE)


async def read_bytes(receive: Receive, most_bytes: int = BODY_BYTES) -> bytes:
    """Return the body; raise `Refusal` as soon as it is too long, and when it does not arrive in time."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(Code.BODY_SLOW)
                body += message.get("body", b"")
                if len(body) > most_bytes:
                    raise Refusal(Code.BODY_TOO_LARGE)
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(Code.BODY_SLOW) from None
