"""The keyring's HTTP server as a part of its process."""

import asyncio
from pathlib import Path

from services.keyring.server import HttpServer
from tests.fixtures.keyring import settings_for


async def test_a_server_that_serves_no_more_is_not_ready(tmp_path: Path) -> None:
    """Whatever ended it: callers are sent to another keyring."""
    server = HttpServer(settings_for("postgresql://lethe:none@127.0.0.1:1/none", tmp_path), object())
    assert not server.ready
    await server.start()
    assert server.ready
    assert server._task is not None
    server._task.cancel()
    await asyncio.wait([server._task], timeout=10)
    assert not server.ready
    await server.stop()
