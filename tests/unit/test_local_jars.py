"""Kafka's jars are used only if they are the pinned ones, wherever they come from."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.errors import PlatformRefused, PlatformUnavailable
from deploy.local.jars import Jar

CONTENT = b"a jar"
GOOD = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


@contextmanager
def repository(content: bytes) -> Iterator[str]:
    """A Maven repository on the loopback that has one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path.endswith(".sha1") else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_pinned_jar_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second time nothing is asked of the network."""
    with repository(CONTENT) as url:
        monkeypatch.setenv(jars.MIRROR, url)
        seen: list[tuple[int, int, int]] = []
        (path,) = jars.ensure(tmp_path, [GOOD], lambda *each: seen.append(each))
    assert path.read_bytes() == CONTENT and seen == [(0, 1, 0), (1, 1, len(CONTENT))]
    assert jars.ensure(tmp_path, [GOOD]) == (path,)
    assert [each.name for each in tmp_path.iterdir()] == [GOOD.file_name]


def test_a_fetched_jar_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A repository that serves something else gets nothing of it onto the class path."""
    with repository(b"something else") as url:
        monkeypatch.setenv(jars.MIRROR, url)
        with pytest.raises(PlatformRefused, match=f"expected {GOOD.sha256}"):
            jars.ensure(tmp_path, [GOOD])
    assert list(tmp_path.iterdir()) == []


def test_a_cached_jar_that_was_changed_is_refused(tmp_path: Path):
    """The cache is trusted no more than the network."""
    (tmp_path / GOOD.file_name).write_bytes(CONTENT + b"!")
    with pytest.raises(PlatformRefused, match="Delete the file"):
        jars.ensure(tmp_path, [GOOD])


def test_an_absent_repository_is_said_to_be_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The reason names the artifact and what to do, and no traceback of an HTTP library."""
    monkeypatch.setenv(jars.MIRROR, "http://127.0.0.1:9")
    with pytest.raises(PlatformUnavailable, match=r"org\.example:thing:1\.0"):
        jars.ensure(tmp_path, [GOOD])


def test_the_lock_pins_one_digest_per_artifact():
    """45 artifacts, each once, all parts of Kafka of one version."""
    pinned = jars.read_lock()
    assert len({(each.group, each.artifact) for each in pinned}) == len(pinned) == 45
    assert all(re.fullmatch("[0-9a-f]{64}", each.sha256) for each in pinned)
    assert len({each.version for each in pinned if each.group == "org.apache.kafka"}) == 1


def test_a_checkout_that_cannot_be_written_to_leaves_the_jars_in_the_state_directory(tmp_path: Path):
    """A complete cache is shared; otherwise each state directory has its own."""
    (tmp_path / "pyproject.toml").touch()
    state = tmp_path / "state"
    shared = tmp_path / ".cache" / "jars"
    assert jars.choose_cache(state, tmp_path, [GOOD]) == shared
    assert jars.choose_cache(state, tmp_path / "no-checkout", [GOOD]) == state / "jars"
    shared.mkdir(parents=True)
    (shared / GOOD.file_name).touch()
    assert jars.choose_cache(state, tmp_path, [GOOD]) == shared
