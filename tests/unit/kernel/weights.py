"""Records that are heavy in one of their parts: whoever sends one chooses which."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from services.kernel.broker.interface import HEADER_BYTES, Headers


class Heavy(NamedTuple):
    """What a record has besides its place."""

    key: bytes = b"k"
    value: bytes = b""
    headers: Headers = ()


HEAVY: Mapping[str, Callable[[int], Heavy]] = {
    "key": lambda size: Heavy(key=bytes(size)),
    "value": lambda size: Heavy(value=bytes(size)),
    "header": lambda size: Heavy(headers=(("x", bytes(size)),)),
    "header-name": lambda size: Heavy(headers=(("x" * size, b""),)),
    "headers": lambda size: Heavy(headers=(("", b""),) * (size // HEADER_BYTES)),
}
"""A record of about so many bytes, by where it has them."""
