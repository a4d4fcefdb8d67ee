"""A label is a JWE like any other: others open it, one key does, and no two labels share anything secret (D2)."""

import json

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from jwcrypto import jwe as other_jwe
from jwcrypto.jwk import JWK

from services.dispatch.label_jwe import ALGORITHM, ENCRYPTION, seal_for
from services.kernel.sealing.keys import decoded

KEYS = {"P-256": ECKey.generate_key("P-256"), "X25519": OKPKey.generate_key("X25519")}
TEXT = b'{"name":"Ada"}   '


@pytest.mark.parametrize("curve", KEYS)
def test_two_other_implementations_open_every_label(curve):
    """Often enough that a coordinate begins with a zero byte, which must not shorten it."""
    private = KEYS[curve]
    foreign = JWK.from_json(json.dumps(private.as_dict(private=True)))
    for _ in range(600):
        token = seal_for(private.public_key, "depot", TEXT)
        assert jwe.decrypt_compact(token, private, algorithms=[ALGORITHM, ENCRYPTION]).plaintext == TEXT
    opened = other_jwe.JWE()
    opened.deserialize(token, foreign)
    assert opened.payload == TEXT


@pytest.mark.parametrize("curve", KEYS)
def test_no_two_labels_share_a_key_a_nonce_or_an_ephemeral_key(curve):
    tokens = [seal_for(KEYS[curve].public_key, "depot", TEXT).split(".") for _ in range(50)]
    for part in range(5):
        assert len({token[part] for token in tokens}) == 50
    header = orjson.loads(decoded(tokens[0][0]))
    assert (header["alg"], header["enc"], header["kid"]) == ("ECDH-ES+A256KW", "A256GCM", "depot")
    assert header["epk"].keys() == {"kty", "crv", "x"} | ({"y"} if curve == "P-256" else set())


@pytest.mark.parametrize("curve", KEYS)
def test_another_key_or_an_altered_label_opens_nothing(curve):
    token = seal_for(KEYS[curve].public_key, "depot", TEXT)
    kind = type(KEYS[curve])
    with pytest.raises((JoseError, ValueError)):
        jwe.decrypt_compact(token, kind.generate_key(curve), algorithms=[ALGORITHM, ENCRYPTION])
    parts = token.split(".")
    for part in range(1, 5):
        altered = [*parts]
        altered[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
        with pytest.raises((JoseError, ValueError)):
            jwe.decrypt_compact(".".join(altered), KEYS[curve], algorithms=[ALGORITHM, ENCRYPTION])


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31)])
def test_a_point_of_small_order_gives_no_label(point):
    """Everybody would know the secret."""
    with pytest.raises(ValueError):
        seal_for(X25519PublicKey.from_public_bytes(point), "depot", TEXT)
