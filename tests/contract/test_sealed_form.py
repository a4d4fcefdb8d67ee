"""The sealed form on the wire: its bytes never change, and any JOSE library reads and writes it (T1)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import OctKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk

from services.kernel.sealing.jwe import _sealed, padded_length, seal, unseal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import Place, place

WHERE = place("orders", "0123456789abcdef0123456789abcdef", "ship_to")
KEY = DataKey(bytes(range(32)))
TEXT = '{"name":"Zoë"}'.encode()

GOLDEN = (
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiV3FqUFBSdkFQOG9ZYkFxQ3dNRXJoelRnLVF1YXotdk"
    "x4X2NlZjA3eWhPcyIsInBsYWNlIjoib3JkZXJzLzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmL3NoaXBf"
    "dG8ifQ"
    "..AAECAwQFBgcICQoL.PCC4eqiA4CGvG_hIGssFTaP2pxTQW39cGEfFpT1JIJIhMI7cj-EyuFSEX82opwgYznlArXr2g_oftwo5OMPVzg."
    "DDA_-gTumOtlS4KP4LFZQQ"
)

plaintexts = st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: json.dumps(text).encode())
materials = st.binary(min_size=32, max_size=32)


def test_golden_bytes_of_the_form() -> None:
    """A change of a single character here makes every value sealed before unreadable."""
    assert _sealed(KEY, WHERE, TEXT, bytes(range(12))) == GOLDEN
    assert unseal(GOLDEN, KEY, WHERE) == TEXT


def test_golden_key_id() -> None:
    assert KEY.kid == jwcrypto_jwk.JWK(kty="oct", k=KEY.text()).thumbprint()


@given(plaintext=plaintexts, material=materials)
def test_joserfc_opens_what_we_seal(plaintext: bytes, material: bytes) -> None:
    key = DataKey(material)
    opened = joserfc_jwe.decrypt_compact(
        seal(key, WHERE, plaintext), OctKey.import_key(material), registry=lenient()
    )
    assert opened.protected == header(key, WHERE)
    assert opened.plaintext is not None
    assert opened.plaintext.rstrip(b" ") == plaintext


@given(plaintext=plaintexts, material=materials)
def test_we_open_what_joserfc_seals(plaintext: bytes, material: bytes) -> None:
    key = DataKey(material)
    token = joserfc_jwe.encrypt_compact(
        header(key, WHERE), padded(plaintext), OctKey.import_key(material), registry=lenient()
    )
    assert unseal(token, key, WHERE) == plaintext


@given(plaintext=plaintexts, material=materials)
def test_jwcrypto_opens_what_we_seal(plaintext: bytes, material: bytes) -> None:
    key = DataKey(material)
    opened = jwcrypto_jwe.JWE(algs=["dir", "A256GCM"])
    opened.deserialize(seal(key, WHERE, plaintext), jwcrypto_jwk.JWK(kty="oct", k=key.text()))
    assert json.loads(opened.objects["protected"]) == header(key, WHERE)
    assert opened.payload.rstrip(b" ") == plaintext


@given(plaintext=plaintexts, material=materials)
def test_we_open_what_jwcrypto_seals(plaintext: bytes, material: bytes) -> None:
    key = DataKey(material)
    protected = json.dumps(header(key, WHERE), separators=(",", ":"))
    made = jwcrypto_jwe.JWE(padded(plaintext), protected=protected, algs=["dir", "A256GCM"])
    made.add_recipient(jwcrypto_jwk.JWK(kty="oct", k=key.text()))
    assert unseal(made.serialize(compact=True), key, WHERE) == plaintext


@pytest.mark.parametrize("length", [1, 63, 64, 65, 256, 257, 1024, 1025, 2048, 5000])
def test_every_bucket_opens_with_a_foreign_library(length: int) -> None:
    opened = joserfc_jwe.decrypt_compact(
        seal(KEY, WHERE, b"7" * length), OctKey.import_key(bytes(range(32))), registry=lenient()
    )
    assert opened.plaintext == (b"7" * length).ljust(padded_length(length))


def header(key: DataKey, where: Place) -> dict[str, str]:
    return {"alg": "dir", "enc": "A256GCM", "kid": key.kid, "place": where}


def padded(plaintext: bytes) -> bytes:
    return plaintext.ljust(padded_length(len(plaintext)))


def lenient() -> joserfc_jwe.JWERegistry:
    """joserfc refuses header members it does not know, such as `place`, unless told otherwise."""
    return joserfc_jwe.JWERegistry(algorithms=["dir", "A256GCM"], strict_check_header=False)
