"""A lane that has enough to do takes no more in, whether it is many records or heavy ones."""

from collections.abc import AsyncIterator

import pytest

from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.worker import lane as lanes
from tests.unit.kernel.lane_room import Alone, lane_alone
from tests.unit.kernel.sample import World
from tests.unit.kernel.weights import HEAVY

WORDS = TopicPartition("words", 0)


@pytest.fixture
async def alone() -> AsyncIterator[Alone]:
    """A lane that may handle what it is offered."""
    made = await lane_alone(World(), "0")
    made.lane._relay.numbered.set()
    yield made
    await made.consumer.stop()


@pytest.mark.parametrize("limit", ["WAITING_RECORDS", "WAITING_BYTES"])
async def test_a_lane_pauses_until_it_has_worked_off_what_waits(
    alone: Alone, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve lanes of the largest records would not fit into memory (R1)."""
    lane, consumer = alone.lane, alone.consumer
    monkeypatch.setattr(lanes, limit, 1)
    lane.offer(WORDS, [Record("words", 0, offset, None, b"no words", ()) for offset in (0, 1)], lane.epoch)
    assert WORDS in consumer._paused
    await lane._handle_what_waits()
    assert lane.waiting == 0
    assert WORDS not in consumer._paused


@pytest.mark.parametrize("heavy", HEAVY)
async def test_a_lane_has_enough_of_heavy_records_wherever_they_are_heavy(
    alone: Alone, heavy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred bytes of a partner's zstd are a record with a header of four megabytes."""
    lane, consumer = alone.lane, alone.consumer
    monkeypatch.setattr(lanes, "WAITING_BYTES", 100_000)
    for offset in range(3):
        assert WORDS not in consumer._paused
        lane.offer(WORDS, [Record("words", 0, offset, *HEAVY[heavy](45_000))], lane.epoch)
    assert WORDS in consumer._paused
    await lane._handle_what_waits()
    assert WORDS not in consumer._paused


async def test_what_a_lane_forgets_weighs_nothing(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a lane that began anew a few times would stay paused for ever."""
    lane, consumer = alone.lane, alone.consumer
    monkeypatch.setattr(lanes, "WAITING_BYTES", 100_000)
    for _ in range(5):
        lane.offer(WORDS, [Record("words", 0, 0, *HEAVY["value"](45_000))], lane.epoch)
        assert WORDS not in consumer._paused
        await lane._begin()
