"""A process answers probes and scrapers, and nobody can make it stumble by asking badly."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.kernel.telemetry import health
from services.kernel.telemetry.health import Health


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str, str]:
    answer = await ask(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, body


async def test_port_zero_is_chosen_by_the_system_and_told():
    """Many instances share one machine."""
    async with Health() as one, Health() as other:
        assert one.port and other.port and one.port != other.port


async def test_live_and_ready_follow_what_the_process_says():
    """Ready is not live: a worker whose broker is away is alive and takes no new lanes."""
    said = {"ready": False}
    async with Health(live=lambda: True, ready=lambda: said["ready"]) as served:
        assert (await get(served.port, "/live"))[::2] == (200, "live\n")
        assert (await get(served.port, "/ready"))[::2] == (503, "not ready\n")
        said["ready"] = "lag-unknown"
        assert (await get(served.port, "/ready"))[::2] == (503, "not ready: lag-unknown\n")
        said["ready"] = True
        assert (await get(served.port, "/ready"))[::2] == (200, "ready\n")


async def test_a_probe_that_fails_counts_as_no_and_tells_no_details():
    """Fail closed; the error's text may hold a value."""

    def broken() -> bool:
        raise RuntimeError("Zoë Canary-Smith")

    async with Health(ready=broken) as served:
        status, _, body = await get(served.port, "/ready")
    assert status == 503 and "Canary" not in body


async def test_metrics_are_those_of_the_given_registry():
    """Prometheus text format, never cached."""
    registry = CollectorRegistry()
    Counter("probe_total", "Probe.", registry=registry).inc()
    async with Health(registry=registry) as served:
        status, head, body = await get(served.port, "/metrics?name=x")
    assert status == 200 and "text/plain; version=" in head and "no-store" in head
    assert "probe_total 1.0" in body


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [("/", "GET", 404), ("/live/..", "GET", 404), ("/live", "POST", 405), ("/live", "HEAD", 200)],
)
async def test_anything_else_is_refused(path, method, expected):
    """Three answers, read only."""
    async with Health() as served:
        status, _, body = await get(served.port, path, method)
    assert status == expected and body == ""


@pytest.mark.parametrize("request_bytes", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff \r\n\r\n"])
async def test_nonsense_is_answered_and_harms_nobody(request_bytes):
    """The next probe is served as ever."""
    async with Health() as served:
        assert b"HTTP/1.1 4" in await ask(served.port, request_bytes)
        assert (await get(served.port, "/live"))[0] == 200


async def test_too_long_a_head_is_hung_up_on():
    """Nobody fills our memory with a header."""
    async with Health() as served:
        try:
            answer = await ask(served.port, b"GET /live HTTP/1.1\r\nX: " + b"x" * 200_000)
        except ConnectionError:
            answer = b""
        assert answer == b""
        assert (await get(served.port, "/live"))[0] == 200


async def test_who_does_not_finish_asking_is_hung_up_on(monkeypatch):
    """A stalled prober holds no connection for ever."""
    monkeypatch.setattr(health, "READ_SECONDS", 0.05)
    async with Health() as served:
        assert await ask(served.port, b"GET /live") == b""


async def test_stopping_twice_is_fine_and_frees_the_port():
    """A graceful stop may meet an ungraceful one."""
    served = Health()
    await served.start()
    await served.stop()
    await served.stop()
    with pytest.raises(ConnectionError):
        await get(served.port, "/live")
