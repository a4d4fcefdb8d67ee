"""The door on a real socket: what happens before and around the application."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from services.gateway.body import LARGE_BYTES
from services.gateway.submission import BODY_BYTES
from services.kernel.errors import ConfigurationError
from services.kernel.http.server import HttpServer
from services.kernel.telemetry import log
from tests.unit.gateway_room import CANARY, TOKEN, Room, placed

HEADERS = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


@pytest.fixture
async def served() -> AsyncIterator[tuple[Room, HttpServer]]:
    """A gateway that listens on the loopback."""
    room = Room()
    server = HttpServer(room.app, "127.0.0.1", 0)
    await server.start()
    yield room, server
    await server.stop()


def url(server: HttpServer) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_an_event_is_taken_over_a_socket(served, capsys) -> None:
    room, server = served
    log.configure("gateway-1")
    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS) as http:
        answer = await http.post("/v1/events", json=placed())
        assert answer.status_code == 202
        assert "server" not in answer.headers
        assert (await http.get(f"/nowhere?name={CANARY}")).status_code == 404
    assert len(room.records()) == 1
    said = capsys.readouterr().out
    assert "127.0.0.1" not in said
    assert CANARY not in said
    assert TOKEN not in said


async def test_a_body_announced_too_large_is_refused_unread(served) -> None:
    _, server = served
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES + 1}\r\n"
    writer.write(
        (head + "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()) + "\r\n").encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b'{"code":"body-too-large"}')
    writer.close()


async def test_a_body_that_turns_out_too_large_is_refused(served) -> None:
    _, server = served

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 65_536 + 4):
            yield b" " * 65_536

    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS) as http:
        try:
            answer = await http.post("/v1/events", content=chunks())
        except httpx.TransportError:
            return  # hung up on while still sending: refused as well
        assert answer.json() == {"code": "body-too-large"}
        assert answer.headers["connection"] == "close"


async def test_a_body_that_never_ends_is_given_up(served, monkeypatch) -> None:
    monkeypatch.setattr("services.gateway.body.BODY_SECONDS", 0.2)
    _, server = served
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    writer.write(
        (head + "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()) + "\r\n{").encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


class Turns(asyncio.Semaphore):
    """One large body at a time; counts who has asked for a turn."""

    asked = 0

    async def acquire(self) -> bool:
        self.asked += 1
        return await super().acquire()


async def test_many_large_bodies_take_turns(served, monkeypatch) -> None:
    room, server = served
    room.app._events._large = turns = Turns(1)
    go = asyncio.Event()
    take = room.app._events._intake.take
    waiting = 0

    async def hold_large_ones(storefront, submissions, *more):
        nonlocal waiting
        if len(submissions) > 1:
            waiting += 1
            await go.wait()
        return await take(storefront, submissions, *more)

    monkeypatch.setattr(room.app._events._intake, "take", hold_large_ones)
    large = json.dumps([placed() for _ in range(200)])
    assert len(large) > LARGE_BYTES
    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS, timeout=30) as http:
        asked = [asyncio.create_task(http.post("/v1/events", content=large)) for _ in range(3)]
        async with asyncio.timeout(30):
            while not (turns.asked == 3 and waiting):
                await asyncio.sleep(0.01)
        # Small ones pass meanwhile, and give the others time to be where they must not be.
        for _ in range(10):
            assert (await http.post("/v1/events", json=placed())).status_code == 202
        assert waiting == 1
        go.set()
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {202}


async def test_a_wish_needs_no_large_body(served) -> None:
    _, server = served
    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS) as http:
        answer = await http.post("/v1/erasures", content=b" " * 70_000)
    assert answer.json() == {"code": "body-too-large"}


async def test_a_sender_that_hangs_up_harms_nobody(served) -> None:
    room, server = served
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    writer.close()
    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS) as http:
        assert (await http.post("/v1/events", json=placed())).status_code == 202
    assert len(room.records()) == 1


async def test_requests_in_hand_are_finished_before_the_end(served) -> None:
    room, server = served
    event = asyncio.Event()
    send = room.producer.send

    async def wait_and_send(messages) -> None:
        await event.wait()
        await send(messages)

    room.producer.send = wait_and_send
    async with httpx.AsyncClient(base_url=url(server), headers=HEADERS) as http:
        asked = asyncio.create_task(http.post("/v1/events", content=json.dumps(placed())))
        await asyncio.sleep(0.2)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        event.set()
        assert (await asked).status_code == 202
        await stopping
    assert not server.ready


async def test_a_taken_address_is_refused_by_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = HttpServer(Room().app, "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="address-taken"):
            await server.start()
