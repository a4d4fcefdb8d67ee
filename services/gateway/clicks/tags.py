"""Who did it, said so that it holds for one cell in one window: enough to count visitors, useless to follow one.

    visitor = MAC(tag key, shop, address, user agent)      in memory, for one call
    tag     = first 72 bits of MAC(visitor, kind, window, cell)

A tag of another cell, another window or another day's key has nothing in common with it. Two visitors of one cell
share a tag by chance once in 2^72 pairs.
"""

import binascii
import hashlib
import ipaddress

from schemas.clicks import Kind
from services.kernel.sealing.tagging import TagKey

TAG_BYTES = 9
"""Twelve characters of base64url, without padding."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Visitor:
    """One visitor of one shop, for as long as one call is being handled. Its repr says nothing."""

    __slots__ = ("_base", "mark")

    def __init__(self, key: TagKey, storefront: str, address: str, agent: str) -> None:
        """Raises `KeyringUnavailable` when the key is dead."""
        secret = key.mac(_joined(storefront, network_of(address), agent))
        self._base = hashlib.blake2b(digest_size=TAG_BYTES, key=secret, person=b"lethe-tag")
        self.mark = hashlib.blake2b(key=secret, digest_size=16, person=b"lethe-crowd").digest()
        """Tells waiting visitors apart; no tag can be made of it."""

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
    return _joined(kind, window, cell)


def network_of(address: str) -> str:
    """Return what of an address stands for one visitor: IPv4 whole, of IPv6 the first 64 bits, "" for anything else.

    A household's devices change the last 64 bits at will (RFC 8981): whole, they would be a crowd of one.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def _joined(*parts: str) -> bytes:
    """Return the parts as bytes that no other parts give."""
    # A browser can send surrogates; they are as good as any other text to tell visitors apart.
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4) + part for part in encoded)
