"""Who may ask for what, how fast, over which wire; and the keyring's signed word (T2, U1)."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import OKPKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from pydantic import SecretStr

from schemas.erasure import Held, KeysDestroyed
from schemas.holds import Ground
from schemas.privacy import Category, Purpose
from schemas.statements import digest_of
from schemas.topics import MINTS, OPENS, WORKERS
from services.kernel.errors import ConfigurationError
from services.keyring.limits import BURST_SECONDS, Limits
from services.keyring.receipts import Signer, statement
from services.keyring.rights import INSPECTS, ROTATES, Guests, may_mint, may_open
from services.keyring.settings import Settings
from tests.fixtures.keyring import settings_for

DSN = "postgresql://keyring:x@127.0.0.1:1/keyring"
SIGNER = Signer(Ed25519PrivateKey.generate())
MOMENT = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def guests() -> Guests:
    return Guests({name: hashlib.sha256(name.upper().encode()).hexdigest() for name in ("gateway", "orders")})


def test_a_token_names_its_principal() -> None:
    assert guests().principal("Bearer GATEWAY") == "gateway"
    assert guests().principal("bearer ORDERS") == "orders"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "GATEWAY", "Basic GATEWAY", "Bearer gateway", "Bearer GATEWAY ",
     "Bearer \udce9",
     "Bearer " + hashlib.sha256(b"GATEWAY").hexdigest()],
)  # fmt: skip
def test_anything_else_names_nobody(header: str) -> None:
    assert guests().principal(header) is None


def test_nobody_who_mints_may_open() -> None:
    assert not set(MINTS) & set(OPENS)


def test_rights_are_those_of_the_access_matrix() -> None:
    for worker in WORKERS:
        assert may_mint(worker) == MINTS.get(worker, frozenset())
        for purpose in Purpose:
            for category in may_open(worker, purpose):
                assert OPENS[worker][category] is purpose
    assert may_open("carriers", Purpose.DELIVERY) == {Category.LOGISTICS}
    assert may_open("carriers", Purpose.SETTLEMENT) == frozenset()


def test_who_inspects_or_rotates_gets_no_key() -> None:
    assert not (INSPECTS | ROTATES) & (set(MINTS) | set(OPENS))


class Clock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return MOMENT

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_principal_opens_no_faster_than_allowed() -> None:
    clock = Clock()
    limits = Limits({"slow": 100.0, "fast": 1000.0}.__getitem__, clock)
    assert limits.take("slow", int(100 * BURST_SECONDS))
    assert not limits.take("slow", 1)
    assert limits.take("fast", 1000)
    clock.seconds += 1
    assert not limits.take("slow", 101)
    assert limits.take("slow", 100)


def test_a_call_larger_than_the_bucket_passes_and_is_waited_for() -> None:
    clock = Clock()
    limits = Limits(lambda _: 100.0, clock)
    assert limits.take("x", 1000)
    clock.seconds += 9
    assert not limits.take("x", 500)
    clock.seconds += 2
    assert limits.take("x", 500)


def test_opening_for_a_long_time_converges_on_the_rate() -> None:
    clock, taken = Clock(), 0
    limits = Limits(lambda _: 50.0, clock)
    for _ in range(1000):
        clock.seconds += 0.1
        taken += 10 if limits.take("x", 10) else 0
    assert taken <= 50 * (100 + BURST_SECONDS)


def of(tmp_path: Path, **more: Any) -> Settings:
    return settings_for(DSN, tmp_path, **more)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_keys_travel_in_clear_on_the_loopback(tmp_path: Path, host: str) -> None:
    assert of(tmp_path, http_host=host).certificate() is None


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "keyring"])
def test_keys_travel_under_tls_anywhere_else(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="tls-required"):
        of(tmp_path, http_host=host).certificate()
    assert of(tmp_path, http_host=host, http_private_network=True).certificate() is None
    pem = tmp_path / "pem"
    assert of(tmp_path, http_host=host, http_certificate=pem, http_certificate_key=pem).certificate() == (
        pem,
        pem,
    )


def test_limits_can_be_set_per_principal(tmp_path: Path) -> None:
    settings = of(tmp_path, opening_limits={"carriers": 10})
    assert settings.openings_per_second("carriers") == 10
    assert settings.openings_per_second("orders") > 1000


def test_settings_show_no_secret(tmp_path: Path) -> None:
    settings = of(tmp_path)
    assert "PRIVATE KEY" not in repr(settings) + str(settings)


def test_settings_come_from_environment_and_secret_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = settings_for(DSN, tmp_path).signing_key.get_secret_value()
    digests = {"gateway": "0" * 64}
    files = {"kafka_password": "k", "database_password": "d", "signing_key": pem,
             "keyring_tokens": orjson.dumps(digests).decode()}  # fmt: skip
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name, text in files.items():
        (tmp_path / "secrets" / name).write_text(text)
        (tmp_path / "secrets" / name).chmod(0o600)
    names = {"SECRETS": tmp_path / "secrets", "PRINCIPAL": "keyring", "INSTANCE": "keyring-1", "KAFKA": "x:1",
             "DATABASE_PORT": 1, "DATABASE_NAME": "keyring", "KEK_DIRECTORY": tmp_path}  # fmt: skip
    for name, value in names.items():
        monkeypatch.setenv(f"LETHE_{name}", str(value))
    settings = Settings.from_environment()
    assert isinstance(settings, Settings)
    assert settings.keyring_tokens == digests
    assert Signer.of_pem(settings.signing_key).kid


def test_another_kind_of_signing_key_is_refused() -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text in (pem.decode(), "nonsense"):
        with pytest.raises(ConfigurationError, match="signing-key") as caught:
            Signer.of_pem(SecretStr(text))
        assert text not in str(caught.value)


def a_statement() -> str:
    held = [Held(scope="a" * 32, category=Category.LOGISTICS, ground=Ground.OPEN_ORDER)]
    return SIGNER.sign(statement("d" * 32, 2, ["k" * 43], held, MOMENT, [("logistics", 3)]))


def test_a_statement_says_what_was_done_and_about_whom_nothing() -> None:
    verified = jws.deserialize_compact(a_statement(), OKPKey.import_key(SIGNER.jwk()), algorithms=["EdDSA"])
    assert orjson.loads(verified.payload) == {
        "format": "lethe-keyring-statement/1",
        "request": "d" * 32,
        "round": 2,
        "destroyed": 1,
        "held": [{"scope": "a" * 32, "category": "logistics", "ground": "open-order"}],
        "destroyed_at": "2026-11-23T10:30:00Z",
        "unreadable_at": "2026-11-23T10:30:10Z",
        "lease_seconds": 10.0,
        "keks_pending": [{"category": "logistics", "version": 3}],
        "kids_sha256": digest_of(["k" * 43]),
    }


def test_any_library_verifies_a_statement_and_none_an_altered_one() -> None:
    key = jwcrypto_jwk.JWK(**SIGNER.jwk())
    assert SIGNER.kid == key.thumbprint()
    token = jwcrypto_jws.JWS()
    token.deserialize(a_statement(), key)
    head, payload, signature = a_statement().split(".")
    for altered in (
        f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}",
        f"{head}.{payload}.{signature[:-3]}{'AAA' if signature[-3:] != 'AAA' else 'BBB'}",
    ):
        with pytest.raises(jwcrypto_jws.InvalidJWSSignature):
            jwcrypto_jws.JWS().deserialize(altered, key)


def test_the_longest_statement_fits_its_event() -> None:
    held = tuple(
        Held(scope=f"{n:032x}", category=Category.LOGISTICS, ground=Ground.OPEN_ORDER) for n in range(2000)
    )
    signed = SIGNER.sign(statement("d" * 32, 1, [], held, MOMENT, []))
    assert KeysDestroyed(
        request="d" * 32,
        round=1,
        destroyed=0,
        held=held,
        destroyed_at=MOMENT,
        unreadable_at=MOMENT,
        statement=signed,
    )
