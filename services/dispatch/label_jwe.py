"""How a label is sealed for a partner: a compact JWE, `ECDH-ES+A256KW` with `A256GCM` (RFC 7516; RFC 7518 §4.6, §5.3).

Any JOSE library opens it. It is made here and not by one, because a label is what dispatch spends most of its time on:
two operations on a curve that nobody can spare, and around them as little as possible.
"""

import os
import struct

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from services.kernel.sealing.keys import encoded

ALGORITHM, ENCRYPTION = "ECDH-ES+A256KW", "A256GCM"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16

PublicKey = ec.EllipticCurvePublicKey | x25519.X25519PublicKey

# RFC 7518 §4.6.2: the algorithm, no PartyUInfo, no PartyVInfo, and how many bits are derived.
_OTHER_INFO = struct.pack(f">I{len(ALGORITHM)}sIII", len(ALGORITHM), ALGORITHM.encode(), 0, 0, KEY_BYTES * 8)


def seal_for(key: PublicKey, kid: str, plaintext: bytes) -> str:
    """Return a compact JWE that only the holder of the private key opens; P-256 and X25519.

    Raises `ValueError` for a point of small order, which would give a secret that everybody knows.
    """
    ephemeral, secret = _agreed_on_p256(key) if isinstance(key, ec.EllipticCurvePublicKey) else _agreed(key)
    wrapping_key = ConcatKDFHash(SHA256(), KEY_BYTES, _OTHER_INFO).derive(secret)
    content_key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    header = encoded(orjson.dumps({"alg": ALGORITHM, "enc": ENCRYPTION, "kid": kid, "epk": ephemeral}))
    box = AESGCM(content_key).encrypt(nonce, plaintext, header.encode())
    wrapped = encoded(aes_key_wrap(wrapping_key, content_key))
    return f"{header}.{wrapped}.{encoded(nonce)}.{encoded(box[:-TAG_BYTES])}.{encoded(box[-TAG_BYTES:])}"


def _agreed_on_p256(key: ec.EllipticCurvePublicKey) -> tuple[dict[str, str], bytes]:
    """Return the public half of a key of this moment alone, as a JWK, and the secret it shares with the partner's."""
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_numbers()
    x, y = (encoded(number.to_bytes(KEY_BYTES)) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}, private.exchange(ec.ECDH(), key)


def _agreed(key: x25519.X25519PublicKey) -> tuple[dict[str, str], bytes]:
    private = x25519.X25519PrivateKey.generate()
    x = encoded(private.public_key().public_bytes_raw())
    return {"kty": "OKP", "crv": "X25519", "x": x}, private.exchange(key)
