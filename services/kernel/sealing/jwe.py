"""The one sealed form: a compact JWE (RFC 7516), `dir` with `A256GCM`, header exactly alg, enc, kid, place.

The header is never parsed to decide how to open a value: the only header that the key and the expected place
can have is built and compared, so there is no algorithm, compression or second `kid` to be confused by (RFC
8725). Any JOSE library can open the form; `joserfc` and `jwcrypto` agree with it both ways.
"""

import hmac
import os
import re

from cryptography.exceptions import InvalidTag

from schemas.privacy import SEALED_BYTES
from services.kernel.errors import RejectedRecord
from services.kernel.sealing.keys import DataKey, decoded, encoded
from services.kernel.sealing.place import PLACE_FORM, PLACE_LENGTH, Place, checked

NONCE_BYTES = 12
TAG_BYTES = 16
PLAINTEXT_BYTES = 256 * 1024
"""No personal value is longer, padding included."""

_BUCKETS = (64, 256, 1024)
_HEADER_FORM = re.compile(
    r'\{"alg":"dir","enc":"A256GCM","kid":"(?P<kid>[A-Za-z0-9_-]{43})","place":"(?P<place>[^"]+)"\}'
)


def seal(key: DataKey, where: Place, plaintext: bytes) -> str:
    """Return the JSON text sealed under the key for one place, padded so that its length says little.

    Raises `ValueError` for an empty or too long plaintext, one that ends in a space, or something that is no
    place.
    """
    return _sealed(key, where, plaintext, os.urandom(NONCE_BYTES))


def unseal(token: str, key: DataKey, where: Place) -> bytes:
    """Return the JSON text of a sealed value, without its padding.

    Raises `RejectedRecord("unsealing-failed")` whether the value is broken, was sealed for another place or
    under another key: who sends altered values learns nothing from the difference.
    """
    try:
        return _unsealed(token, key, where)
    except (ValueError, InvalidTag):
        raise unsealing_failed() from None


def kid_of(token: str) -> str:
    """Return the id of the key a value claims to be under; `RejectedRecord` for another form than ours."""
    try:
        if len(token) > SEALED_BYTES:
            raise ValueError("too long")
        header = _HEADER_FORM.fullmatch(decoded(token.partition(".")[0]).decode("ascii"))
        if not header or len(header["place"]) > PLACE_LENGTH or not PLACE_FORM.fullmatch(header["place"]):
            raise ValueError("another header")
        return header["kid"]
    except ValueError:
        raise unsealing_failed() from None


def padded_length(length: int) -> int:
    """Return how many bytes a plaintext of this length is padded to: 64, 256, 1,024, then powers of two."""
    return next((size for size in _BUCKETS if length <= size), 1 << (length - 1).bit_length())


def unsealing_failed() -> RejectedRecord:
    """Return the one error of everything that does not open."""
    return RejectedRecord(code="unsealing-failed")


def _sealed(key: DataKey, where: Place, plaintext: bytes, nonce: bytes) -> str:
    size = padded_length(len(plaintext))
    if not plaintext or plaintext.endswith(b" ") or size > PLAINTEXT_BYTES:
        raise ValueError("not a plaintext that can be sealed")
    header = _header(key.kid, checked(where))
    box = key.cipher.encrypt(nonce, plaintext.ljust(size), header.encode())
    return f"{header}..{encoded(nonce)}.{encoded(box[:-TAG_BYTES])}.{encoded(box[-TAG_BYTES:])}"


def _unsealed(token: str, key: DataKey, where: Place) -> bytes:
    if len(token) > SEALED_BYTES:
        raise ValueError("too long")
    header, wrapped_key, nonce, box, tag = token.split(".")
    expected = _header(key.kid, where)
    if wrapped_key or not hmac.compare_digest(header.encode(), expected.encode()):
        raise ValueError("another header")
    iv, ciphertext, proof = decoded(nonce), decoded(box), decoded(tag)
    if len(iv) != NONCE_BYTES or len(proof) != TAG_BYTES or padded_length(len(ciphertext)) != len(ciphertext):
        raise ValueError("another form")
    return key.cipher.decrypt(iv, ciphertext + proof, expected.encode()).rstrip(b" ")


def _header(kid: str, where: Place) -> str:
    return encoded(f'{{"alg":"dir","enc":"A256GCM","kid":"{kid}","place":"{where}"}}'.encode())
