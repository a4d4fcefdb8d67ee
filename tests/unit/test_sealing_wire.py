"""The way to the keyring: reuse, restarts, silence, and answers that are none."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from schemas.privacy import Category
from services.kernel.errors import ConfigurationError, KeyringUnavailable
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import DataKey, KeyRef
from services.kernel.sealing.wire import KeptConnections

Answer = Callable[[bytes, bytes, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request (head, body); says whether the connection goes on."""


class Peer:
    """A server that reads whole requests and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.answer: Answer = self.echo
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0.01)

    @staticmethod
    async def echo(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        goes_on = True
        while goes_on:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            body = await reader.readexactly(length)
            self.requests.append((head, body))
            goes_on = await self.answer(head, body, writer)
        self._open.discard(writer)
        writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    running = Peer()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def wire(peer: Peer) -> AsyncIterator[KeptConnections]:
    made = KeptConnections(f"http://127.0.0.1:{peer.port}", {"authorization": "Bearer t"}, 0.5)
    yield made
    await made.close()


async def test_one_connection_serves_calls_in_turn(peer: Peer, wire: KeptConnections) -> None:
    for number in range(5):
        assert await wire.post("/v1/mint", b"%d" % number) == (200, b"%d" % number)
    assert peer.connections == 1
    head = peer.requests[0][0]
    assert head.startswith(b"POST /v1/mint HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer t\r\n" in head
    assert b"\r\nhost: 127.0.0.1:%d\r\n" % peer.port in head


async def test_calls_side_by_side_never_share_a_connection(peer: Peer, wire: KeptConnections) -> None:
    answers = await asyncio.gather(*(wire.post("/", b"%d" % number * 50_000) for number in range(9)))
    assert [content[:1] for _, content in answers] == [b"%d" % number for number in range(9)]
    assert peer.connections == 9


async def test_a_peer_that_was_restarted_is_called_again(peer: Peer, wire: KeptConnections) -> None:
    await wire.post("/", b"1")
    await peer.stop()
    with pytest.raises(KeyringUnavailable):
        await wire.post("/", b"2")
    await peer.start(peer.port)
    assert await wire.post("/", b"3") == (200, b"3")


async def test_a_connection_that_was_hung_up_while_idle_is_no_failure(
    peer: Peer, wire: KeptConnections
) -> None:
    async def once(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        await Peer.echo(head, body, writer)
        return False

    peer.answer = once
    for number in range(3):
        assert (await wire.post("/", b"%d" % number))[1] == b"%d" % number
    assert peer.connections == 3


class Closed:
    """The writer of a closed transport, as uvloop has it."""

    def is_closing(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    def close(self) -> None:
        """It is."""


async def test_an_idle_connection_that_has_closed_is_not_written_to(
    peer: Peer, wire: KeptConnections
) -> None:
    """What uvloop raises there would end the worker as a bug does."""
    await wire.post("/", b"1")
    reader, _ = wire._idle.pop()
    wire._idle.append((reader, Closed()))  # type: ignore[arg-type]
    assert await wire.post("/", b"2") == (200, b"2")


async def test_silence_ends_in_time_and_its_late_answer_is_nobodys(peer: Peer, wire: KeptConnections) -> None:
    async def late(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.7)
        return await Peer.echo(head, body, writer)

    peer.answer = late
    with pytest.raises(KeyringUnavailable):
        await wire.post("/", b"late")
    peer.answer = Peer.echo
    assert (await wire.post("/", b"next"))[1] == b"next"
    assert peer.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n1",
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n1",
        b"SSH-2.0\r\n\r\n",
        b"\xff\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"",
    ],
)
async def test_what_is_no_answer_is_an_absence(peer: Peer, wire: KeptConnections, answer: bytes) -> None:
    async def answer_so(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return False

    peer.answer = answer_so
    with pytest.raises(KeyringUnavailable):
        await wire.post("/", b"1")


async def test_the_keyring_client_mints_over_it(peer: Peer) -> None:
    key = DataKey.fresh()

    async def mint(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        asked = orjson.loads(body)
        answer = {"keys": [{"kid": key.kid, "key": key.text()}] * len(asked["keys"]), "subjects": []}
        return await Peer.echo(head, orjson.dumps(answer), writer)

    peer.answer = mint
    keyring = HttpKeyring(f"http://127.0.0.1:{peer.port}", SecretStr("t"))
    refs = [KeyRef("a" * 32, Category.LOGISTICS, f"{number:032x}") for number in range(900)]
    minted = await keyring.mint("bookshop", refs)
    assert [each.kid for each in minted.keys if isinstance(each, DataKey)] == [key.kid] * 900
    await peer.stop()
    with pytest.raises(KeyringUnavailable):
        await keyring.mint("bookshop", refs)
    await keyring.close()


async def test_an_unreachable_keyring_is_an_absence_and_its_error_holds_no_token(peer: Peer) -> None:
    await peer.stop()
    wire = KeptConnections(f"http://127.0.0.1:{peer.port}", {"authorization": "Bearer not-to-be-seen"}, 0.5)
    with pytest.raises(KeyringUnavailable) as caught:
        await wire.post("/", b"1")
    assert caught.value.__cause__ is None
    assert "not-to-be-seen" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://keyring", "http://keyring:port"])
def test_a_url_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="keyring-url"):
        KeptConnections(url, {}, 1.0)


def test_an_authority_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigurationError, match="keyring-authority"):
            KeptConnections("https://keyring", {}, 1.0, tmp_path / name)


async def test_over_tls_only_a_peer_that_the_authority_vouches_for_is_asked(tmp_path: Path) -> None:
    """A key must not be told to whoever answers at that address."""
    peer, certificate = Peer(), certificate_of("127.0.0.1", tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    await peer.start(tls=tls)
    url = f"https://127.0.0.1:{peer.port}"
    trusting = KeptConnections(url, {}, 5.0, certificate)
    assert await trusting.post("/", b"1") == (200, b"1")
    stranger = certificate_of("127.0.0.1", tmp_path)
    other_name = KeptConnections(url.replace("127.0.0.1", "localhost"), {}, 5.0, certificate)
    for wire in (KeptConnections(url, {}, 5.0), KeptConnections(url, {}, 5.0, stranger), other_name):
        with pytest.raises(KeyringUnavailable):
            await wire.post("/", b"2")
    assert [body for _, body in peer.requests] == [b"1"]
    await trusting.close()
    await peer.stop()


def certificate_of(address: str, folder: Path) -> Path:
    """Return a PEM file with a certificate that vouches for itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keyring")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{made.serial_number:x}.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path
