"""What one visitor did is sealed until a crowd did the same: a text that so many different tags together open.

Everything of a cell is made from the tag key and the cell itself, so that visitors need not know of each other:

    root    = MAC(tag key, crowd, parts of the cell)      the same for everybody who contributes to the cell
    id      = first 128 bits of a stream from the root    tells cells apart, and says nothing of them
    share   = P(tag), P a polynomial of degree crowd - 1 over the prime 2^127 - 1, its coefficients from the stream
    sealed  = ChaCha20-Poly1305 of the text, padded, under a key made of P(0)

`crowd` different tags give so many points, which determine P(0) (Shamir, "How to share a secret", 1979); fewer say
nothing of it, and once the tag key is dead nobody can make another point. The construction is that of STAR (Davidson
et al., CCS 2022), with the tag key in the place of its randomness server.
"""

import binascii
import hashlib
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from services.kernel.errors import RejectedRecord
from services.kernel.sealing.jwe import padded_length
from services.kernel.sealing.tagging import TagKey, joined

PRIME = (1 << 127) - 1
NUMBER_BYTES = 16
"""Of an id, a share and a coefficient; 22 characters of base64url, without padding."""
# A key seals one text only, so there is no second one that could meet the same nonce.
_NONCE = bytes(12)
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class CrowdSealed:
    """A cell's text, sealed until a crowd shares it; the same for every visitor. Its repr says nothing."""

    __slots__ = ("_coefficients", "id", "sealed")

    def __init__(self, key: TagKey, crowd: int, parts: Sequence[str], text: str) -> None:
        """`parts` name the cell among all others (shop, kind, window, text); a dead key raises `KeyringUnavailable`."""
        root = key.mac(joined("crowd", str(crowd), *parts))
        stream = hashlib.shake_256(root).digest(NUMBER_BYTES * (crowd + 1))
        numbers = [stream[at : at + NUMBER_BYTES] for at in range(0, len(stream), NUMBER_BYTES)]
        self.id = _encoded(numbers[0])
        """Names the cell without saying anything of it."""
        self._coefficients = [int.from_bytes(number) % PRIME for number in numbers[1:]]
        plain = text.encode()
        box = _cipher(self._coefficients[0]).encrypt(
            _NONCE, plain.ljust(padded_length(len(plain))), self.id.encode()
        )
        self.sealed = _encoded(box)
        """The text, for those who bring the shares of a crowd."""

    def share(self, tag: str) -> str:
        """Return what one visitor adds: a point of the polynomial that only its tag gives."""
        at = _number(tag)
        if not at:
            raise ValueError("the tag of nobody")
        value = 0
        for coefficient in reversed(self._coefficients):
            value = (value * at + coefficient) % PRIME
        return _encoded(value.to_bytes(NUMBER_BYTES))

    def __repr__(self) -> str:
        return "CrowdSealed()"


def opened(cell: str, sealed: str, shares: Mapping[str, str], crowd: int) -> str:
    """Return the text of the cell of this id, by the shares of a crowd of different tags (share by tag).

    Raises `RejectedRecord("crowd-missing")` with fewer, and `RejectedRecord("unsealing-failed")` where a share or the
    sealed text is not what the gateway made, or was made for a larger crowd.
    """
    if len(shares) < crowd:
        raise RejectedRecord(code="crowd-missing")
    try:
        points = [(_number(tag), _number(share)) for tag, share in sorted(shares.items())[:crowd]]
        box = _cipher(_at_zero(points)).decrypt(_NONCE, _decoded(sealed), cell.encode())
        return box.decode().rstrip(" ")
    except (ValueError, InvalidTag):
        raise RejectedRecord(code="unsealing-failed") from None


def _at_zero(points: Sequence[tuple[int, int]]) -> int:
    """Return the value at zero of the one polynomial through these points (Lagrange), with a single division."""
    above, below = 0, 1
    for index, (at, value) in enumerate(points):
        term, divisor = value, 1
        for other, (beside, _) in enumerate(points):
            if other != index:
                term = term * beside % PRIME
                divisor = divisor * (beside - at) % PRIME
        above = (above * divisor + term * below) % PRIME
        below = below * divisor % PRIME
    return above * pow(below, -1, PRIME) % PRIME


def _cipher(secret: int) -> ChaCha20Poly1305:
    material = secret.to_bytes(NUMBER_BYTES)
    return ChaCha20Poly1305(hashlib.blake2b(material, digest_size=32, person=b"lethe-crowd-key").digest())


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text))


def _encoded(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    padded = text.encode("ascii").translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4)
    return binascii.a2b_base64(padded, strict_mode=True)
