"""A process as a supervisor sees it: a part with a bug ends it, and it says so by its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_PROCESS = """
import asyncio, os, signal, sys
from types import SimpleNamespace
from services.kernel.worker import process
from services.kernel.worker.background import Background
from tests.unit.kernel.sample import World, worker

class Part(Background):
    async def _work(self):
        await asyncio.sleep(0.1)
        if "bug" in sys.argv:
            raise ZeroDivisionError
        if "cancelled" in sys.argv:
            raise asyncio.CancelledError

class Patient(Background):
    async def _work(self):
        await asyncio.sleep(1.0)
        print("still here", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(600)

world = World()
process.KafkaBroker = lambda settings: world.broker
settings = SimpleNamespace(
    instance="some-1", health_port=0, policy_version="1", restored=False, breaker_exempt=frozenset()
)

async def compose(broker, storage):
    return [worker()], [Part(), Patient()]

process.main(lambda: settings, lambda settings: process.serve(settings, world.storage, compose))
"""


def _process(*arguments: str) -> tuple[int, list[str], bool]:
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    lines = [json.loads(line)["event"] for line in ended.stdout.splitlines() if line.startswith("{")]
    return ended.returncode, lines, "still here" in ended.stdout


@pytest.mark.parametrize("end", ["bug", "cancelled"])
def test_a_part_that_ends_by_a_bug_ends_its_process(end: str) -> None:
    """A keyring whose chores have ended would keep what has expired, and nobody would start it again."""
    code, said, stayed = _process(end)
    assert code == 1 and not stayed
    assert "background work ended" in said


def test_a_part_that_has_nothing_left_to_do_ends_nobody() -> None:
    code, said, stayed = _process()
    assert code == 0 and stayed
    assert said[-1] == "stopped"
