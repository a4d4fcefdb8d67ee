"""The way to the keyring: reuse, restarts, silence, and answers that are none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import orjson
import pytest
from pydantic import SecretStr

from schemas.privacy import Category
from services.gateway.transport import KeptConnections
from services.kernel.errors import KeyringUnavailable
from services.kernel.sealing.keyring import HttpKeyring
from services.kernel.sealing.keys import DataKey, KeyRef

Answer = Callable[[bytes, bytes, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request (head, body); says whether the connection goes on."""


class Peer:
    """A server that reads whole requests and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.answer: Answer = self.echo
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
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
async def http(peer: Peer) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{peer.port}"
    async with httpx.AsyncClient(base_url=url, transport=KeptConnections(), timeout=0.5) as client:
        yield client


async def test_one_connection_serves_calls_in_turn(peer: Peer, http: httpx.AsyncClient) -> None:
    for number in range(5):
        answer = await http.post(
            "/v1/mint?a=b", content=b"%d" % number, headers={"authorization": "Bearer t"}
        )
        assert (answer.status_code, answer.content) == (200, b"%d" % number)
    assert peer.connections == 1
    head = peer.requests[0][0]
    assert head.startswith(b"POST /v1/mint?a=b HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer t\r\n" in head.replace(b"Authorization", b"authorization")


async def test_calls_side_by_side_never_share_a_connection(peer: Peer, http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.post("/", content=b"%d" % number * 50_000) for number in range(9)))
    assert [answer.content[:1] for answer in answers] == [b"%d" % number for number in range(9)]
    assert peer.connections == 9


async def test_a_peer_that_was_restarted_is_called_again(peer: Peer, http: httpx.AsyncClient) -> None:
    await http.post("/", content=b"1")
    await peer.stop()
    with pytest.raises(httpx.ConnectError):
        await http.post("/", content=b"2")
    await peer.start(peer.port)
    assert (await http.post("/", content=b"3")).content == b"3"


async def test_a_connection_that_was_hung_up_while_idle_is_no_failure(
    peer: Peer, http: httpx.AsyncClient
) -> None:
    async def once(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        await Peer.echo(head, body, writer)
        return False

    peer.answer = once
    for number in range(3):
        assert (await http.post("/", content=b"%d" % number)).content == b"%d" % number
    assert peer.connections == 3


async def test_silence_ends_in_time_and_its_late_answer_is_nobodys(
    peer: Peer, http: httpx.AsyncClient
) -> None:
    async def late(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.7)
        return await Peer.echo(head, body, writer)

    peer.answer = late
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/", content=b"late")
    peer.answer = Peer.echo
    assert (await http.post("/", content=b"next")).content == b"next"
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
async def test_what_is_no_answer_is_a_transport_error(
    peer: Peer, http: httpx.AsyncClient, answer: bytes
) -> None:
    async def answer_so(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return False

    peer.answer = answer_so
    with pytest.raises(httpx.TransportError):
        await http.post("/", content=b"1")


async def test_the_keyring_client_mints_over_it_and_sees_no_difference(peer: Peer) -> None:
    key = DataKey.fresh()

    async def mint(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        asked = orjson.loads(body)
        answer = {"keys": [{"kid": key.kid, "key": key.text()}] * len(asked["keys"]), "subjects": []}
        return await Peer.echo(head, orjson.dumps(answer), writer)

    peer.answer = mint
    keyring = HttpKeyring(f"http://127.0.0.1:{peer.port}", SecretStr("t"), transport=KeptConnections())
    refs = [KeyRef("a" * 32, Category.LOGISTICS, f"{number:032x}") for number in range(900)]
    minted = await keyring.mint("bookshop", refs)
    assert [each.kid for each in minted.keys if isinstance(each, DataKey)] == [key.kid] * 900
    await peer.stop()
    with pytest.raises(KeyringUnavailable):
        await keyring.mint("bookshop", refs)
    await keyring.close()
