"""What is begun is done at once if it does not wait, and goes on as if it had never been begun apart."""

import asyncio

import pytest

from services.recommendations.begun import Begun


async def test_what_waits_for_nothing_is_done_at_once():
    """No task, no turn of the loop."""
    seen = []

    async def quick() -> None:
        await asyncio.Event().wait() if False else None
        seen.append(1)

    begun = Begun(quick())
    assert begun.done and seen == [1]
    await begun
    assert seen == [1]


async def test_what_waits_goes_on_in_another_task():
    """For as long as it has to, more than once."""
    gate, queue, seen = asyncio.Event(), asyncio.Queue(), []

    async def slow() -> None:
        await gate.wait()
        seen.append(await queue.get())
        await asyncio.sleep(0)
        seen.append("end")

    begun = Begun(slow())
    task = asyncio.ensure_future(begun)
    await asyncio.sleep(0.01)
    assert not begun.done and seen == []
    gate.set()
    await asyncio.sleep(0.01)
    await queue.put("value")
    await asyncio.wait_for(task, 5)
    assert begun.done and seen == ["value", "end"]


async def test_its_error_and_its_cancellation_are_its_own():
    """At once or later; what it cleans up it still cleans up."""
    gate, cleaned = asyncio.Event(), []

    async def wrong(wait: bool) -> None:
        try:
            if wait:
                await gate.wait()
            raise ValueError("wrong")
        finally:
            cleaned.append(wait)

    with pytest.raises(ValueError, match="wrong"):
        Begun(wrong(False))
    later = asyncio.ensure_future(Begun(wrong(True)))
    gate.set()
    with pytest.raises(ValueError, match="wrong"):
        await later
    gate.clear()
    cancelled = asyncio.ensure_future(Begun(wrong(True)))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert cleaned == [False, True, True]
