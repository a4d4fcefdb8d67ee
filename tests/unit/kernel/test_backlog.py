"""A lane that has enough to do takes no more in, whether it is many records or heavy ones."""

import pytest

from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.clock import SystemClock
from services.kernel.worker import lane as lanes
from services.kernel.worker.decode import Decoder
from services.kernel.worker.lane import Lane
from services.kernel.worker.turn import Turn
from tests.unit.kernel.sample import World, worker

WORDS, LEDGER = TopicPartition("words", 0), TopicPartition(COMMANDS.name, 0)


class Nobody:
    """Hears of rebalances and does nothing."""

    async def revoked(self, _: object) -> None:
        """Let go of nothing."""

    async def assigned(self, _: object) -> None:
        """Begin nothing."""


@pytest.mark.parametrize("limit", ["WAITING_RECORDS", "WAITING_BYTES"])
async def test_a_lane_pauses_until_it_has_worked_off_what_waits(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve lanes of the largest records would not fit into memory (R1)."""
    world, sample = World(), worker()
    consumer = world.broker.consumer("sample", ["words", COMMANDS.name])
    await consumer.start(Nobody())
    turn = Turn(sample, world.storage, Decoder(sample), "1")
    lane = Lane(
        "0", [WORDS, LEDGER], sample, world.broker, consumer, world.storage, turn, SystemClock(), restored=False
    )  # fmt: skip
    await lane._begin()
    lane._relay.numbered.set()
    monkeypatch.setattr(lanes, limit, 1)
    lane.offer(WORDS, [Record("words", 0, offset, None, b"no words", ()) for offset in (0, 1)], lane.epoch)
    assert WORDS in consumer._paused
    await lane._handle_what_waits()
    assert lane.waiting == 0
    assert WORDS not in consumer._paused
    await consumer.stop()
