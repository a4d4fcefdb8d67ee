"""A lane that has enough to do takes no more in, whether it is many records or heavy ones."""

import pytest

from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.worker import lane as lanes
from tests.unit.kernel.lane_room import lane_alone
from tests.unit.kernel.sample import World
from tests.unit.kernel.weights import HEAVY

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


@pytest.mark.parametrize("heavy", HEAVY)
async def test_a_lane_has_enough_of_heavy_records_wherever_they_are_heavy(
    heavy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred bytes of a partner's zstd are a record with a header of four megabytes."""
    alone = await lane_alone(World(), "0")
    lane, consumer = alone.lane, alone.consumer
    lane._relay.numbered.set()
    monkeypatch.setattr(lanes, "WAITING_BYTES", 100_000)
    for offset in range(3):
        assert WORDS not in consumer._paused
        lane.offer(WORDS, [Record("words", 0, offset, *HEAVY[heavy](45_000))], lane.epoch)
    assert WORDS in consumer._paused
    await lane._handle_what_waits()
    assert WORDS not in consumer._paused
    await consumer.stop()


async def test_what_a_lane_forgets_weighs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a lane that began anew a few times would stay paused for ever."""
    alone = await lane_alone(World(), "0")
    lane, consumer = alone.lane, alone.consumer
    monkeypatch.setattr(lanes, "WAITING_BYTES", 100_000)
    for _ in range(5):
        lane.offer(WORDS, [Record("words", 0, 0, *HEAVY["value"](45_000))], lane.epoch)
        assert WORDS not in consumer._paused
        await lane._begin()
    await consumer.stop()
