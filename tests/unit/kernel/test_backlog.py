"""A lane that has enough to do takes no more in, whether it is many records or heavy ones."""

import pytest

from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.worker import lane as lanes
from tests.unit.kernel.lane_room import lane_alone
from tests.unit.kernel.sample import World

WORDS, LEDGER = TopicPartition("words", 0), TopicPartition(COMMANDS.name, 0)


@pytest.mark.parametrize("limit", ["WAITING_RECORDS", "WAITING_BYTES"])
async def test_a_lane_pauses_until_it_has_worked_off_what_waits(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve lanes of the largest records would not fit into memory (R1)."""
    alone = await lane_alone(World(), "0")
    lane, consumer = alone.lane, alone.consumer
    lane._relay.numbered.set()
    monkeypatch.setattr(lanes, limit, 1)
    lane.offer(WORDS, [Record("words", 0, offset, None, b"no words", ()) for offset in (0, 1)], lane.epoch)
    assert WORDS in consumer._paused
    await lane._handle_what_waits()
    assert lane.waiting == 0
    assert WORDS not in consumer._paused
    await consumer.stop()
