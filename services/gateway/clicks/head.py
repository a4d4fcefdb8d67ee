"""The headers of a browser that are looked at, and whose address it is that calls; no other header is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from services.gateway import body
from services.gateway.clicks.addresses import Address, read_address
from services.kernel.http.objecting import objects

BODY_BYTES = 512 * 1024
"""Largest body: what Segment's libraries put into one batch. A browser's beacon ends at 64 KiB."""
MOST_HOPS = 20

Network = IPv4Network | IPv6Network

# `text/plain` is what sendBeacon says of a text: the one form of JSON that needs no preflight.
_JSON = re.compile(rb'(application/json|text/plain)\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


@dataclass(slots=True, repr=False)
class Head(body.BodyHead):
    """The few headers of a browser that matter. Its repr says nothing: it holds an address."""

    origin: bytes = b""
    agent: bytes = b""
    refused: bool = False
    """By `Sec-GPC` or `DNT`."""
    forwarded_for: list[bytes] = field(default_factory=list)

    def __repr__(self) -> str:
        return "Head()"


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Return the headers that matter; of a header said twice, the last."""
    head = Head()
    for name, value in headers:
        match name:
            case b"origin":
                head.origin = value
            case b"user-agent":
                head.agent = value
            case b"content-type":
                head.content_type = value
            case b"content-encoding":
                head.content_encoding = value
            case b"content-length":
                head.content_length = value
            case b"authorization":
                head.authorization = value
            case b"x-forwarded-for":
                head.forwarded_for.append(value)
            case _ if objects(name, value):
                head.refused = True
    return head


def check_head(head: Head) -> None:
    """Raise `Refusal` for a body that need not be read: wrong kind, or announced too long."""
    body.check_head(head, _JSON, BODY_BYTES)


def address_of(peer: str, head: Head, trusted: Sequence[Network]) -> str:
    """Return the address of who calls: the nearest one that no trusted proxy has.

    Whoever is not trusted is believed nothing: without trusted proxies it is the peer's own address. An entry that is
    no address ends the way back, since nothing before it can be believed either.
    """
    if not trusted or not head.forwarded_for:
        return peer
    address, nearest = peer, _read(peer.encode())
    hops = b",".join(head.forwarded_for).split(b",")[-MOST_HOPS:]
    while hops and nearest is not None and any(nearest in network for network in trusted):
        nearest = _read(hops.pop())
        if nearest is not None:
            address = str(nearest)
    return address


def _read(said: bytes) -> Address | None:
    text = said.strip()
    return read_address(text.decode("ascii")) if text.isascii() else None
