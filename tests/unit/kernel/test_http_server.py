"""The HTTP server of a process: under TLS where it is told so, and ready only as long as it serves."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.kernel.errors import ConfigurationError
from services.kernel.http.server import HttpServer

LOOPBACK = "127.0.0.1"


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of the loopback, signed by itself, and its key: PEM files."""
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keyring")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(minutes=10))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))]), critical=False)
        .sign(key, None)
    )
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


async def test_it_serves_under_tls_and_not_in_clear(certificate: tuple[Path, Path]) -> None:
    """Once it has a certificate, nothing that is asked without TLS is answered."""
    server = HttpServer(APP, LOOPBACK, 0, certificate)
    await server.start()
    trusting = ssl.create_default_context(cafile=certificate[0])
    async with httpx.AsyncClient(verify=trusting) as http:
        assert (await http.get(f"https://{LOOPBACK}:{server.port}/")).text == "hello"
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://{LOOPBACK}:{server.port}/")
    await server.stop()


async def test_a_certificate_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    """A file that is missing, or is no certificate: said at the start, before anything listens."""
    wrong = tmp_path / "wrong.pem"
    for content in (None, "no certificate"):
        if content:
            wrong.write_text(content)
        with pytest.raises(ConfigurationError, match="certificate-unusable"):
            await HttpServer(APP, LOOPBACK, 0, (wrong, wrong)).start()


async def test_a_server_that_serves_no_more_is_not_ready() -> None:
    """Whatever ended it: callers are sent elsewhere."""
    server = HttpServer(APP, LOOPBACK, 0)
    assert not server.ready
    await server.start()
    assert server.ready
    assert server._task is not None
    server._task.cancel()
    await asyncio.wait([server._task], timeout=10)
    assert not server.ready
