"""Who did it, said so that it holds for one cell in one window: enough to count visitors, useless to follow one.

    visitor = MAC(tag key, shop, address, user agent)      in memory, for one call
    tag     = first 72 bits of MAC(visitor, kind, window, cell)
    network = MAC(tag key, shop, wider network)            in memory, while its contributions wait

A tag of another cell, another window or another day's key has nothing in common with it. Two visitors of one cell
share a tag by chance once in 2^72 pairs.
"""

import binascii
import hashlib
from ipaddress import IPv6Address

from schemas.clicks import Kind
from services.gateway.clicks.addresses import Address, read_address
from services.kernel.sealing.tagging import TagKey, joined

VISITOR_BITS, NETWORK_BITS = 64, 48
"""Of an IPv6 address. A household's devices change the last 64 bits at will (RFC 8981): whole, they would be a crowd of
one. The first 48 are the smallest part of the internet that somebody gets for nothing from a tunnel broker."""
TAG_BYTES = 9
"""Twelve characters of base64url, without padding."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Visitor:
    """One visitor of one shop, for as long as one call is being handled. Its repr says nothing."""

    __slots__ = ("_base", "mark", "network")

    def __init__(self, key: TagKey, storefront: str, address: str, agent: str) -> None:
        """Raises `KeyringUnavailable` when the key is dead."""
        at = read_address(address)
        secret = key.mac(joined(storefront, _network(at, VISITOR_BITS), agent))
        self._base = hashlib.blake2b(digest_size=TAG_BYTES, key=secret, person=b"lethe-tag")
        self.mark = hashlib.blake2b(key=secret, digest_size=16, person=b"lethe-crowd").digest()
        """Tells waiting visitors apart; no tag can be made of it."""
        # Nobody comes from another machine with an address that is good on this one only: who tries things out does.
        local = at is not None and at.is_loopback
        around = secret if local else key.mac(joined(storefront, _network(at, NETWORK_BITS)))
        self.network = hashlib.blake2b(key=around, digest_size=16, person=b"lethe-network").digest()
        """Tells the networks apart that visitors wait from: whoever has one can have any number of user agents."""

    def tag(self, kind: Kind, window: str, cell: str) -> str:
        """Return the visitor's tag for a cell in a window."""
        return self.tag_of(name_of(kind, window, cell))

    def tag_of(self, name: bytes) -> str:
        """Return the visitor's tag for what `name_of` names."""
        made = self._base.copy()
        made.update(name)
        return binascii.b2a_base64(made.digest(), newline=False).translate(_URL_SAFE).decode()

    def __repr__(self) -> str:
        return "Visitor()"


def name_of(kind: Kind, window: str, cell: str) -> bytes:
    """Return the name of a cell in a window, as tags are made of it."""
    return joined(kind, window, cell)


def _network(address: Address | None, bits: int) -> str:
    """Return an IPv4 address whole, so many bits of an IPv6 one, "" for none."""
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 128 - bits << 128 - bits))
    return str(address or "")
