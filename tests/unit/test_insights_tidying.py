"""What is too old goes by itself, also while nothing arrives and after the database was away."""

import asyncio
from datetime import timedelta

from services.insights.domain import KEEP
from services.insights.tidying import EVERY_SECONDS, Tidying
from tests.unit.insights_room import Room, StillClock, a_day


class Waiting(StillClock):
    """A clock on which each wait ends when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []
        self.go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.go.wait()
        self.go.clear()

    async def round(self) -> None:
        self.go.set()
        await asyncio.sleep(0.01)


async def test_old_numbers_go_at_the_start_and_then_again_and_again() -> None:
    room, clock = Room(), Waiting()
    published = room.storage.tables.worker["published"]
    room.desk.publish(*a_day("2026-09-01"), *a_day())
    tidying = Tidying(room.desk, clock)
    await tidying.start()
    assert {key for key in published if "2026-09-01" in key} == set() != set(published)
    room.now += KEEP
    room.desk.away = True
    await asyncio.sleep(0.01)
    await clock.round()
    room.desk.away = False
    room.now += timedelta(days=1)
    assert published
    await clock.round()
    assert not published
    assert set(clock.asked) == {EVERY_SECONDS}
    await tidying.stop()
