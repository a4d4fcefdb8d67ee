"""The demo's own bookkeeping: a record that nobody read, or that ended twice, must show."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from services.demo.closing import one_byte_changed
from services.demo.endings import sums, total
from services.demo.log_reader import Record
from services.demo.probe import Attempt, after
from services.demo.room import Room
from services.erasure.signing import decoded, encoded

RECORDS = [Record("orders", 0, offset, b"k", b"v") for offset in (0, 1, 3)]
"""Offset 2 is a marker of a transaction."""


class Tables:
    """Answers for the tables of one worker; the others are empty."""

    def __init__(self, endings: dict[str, int], next_offset: int) -> None:
        self._endings = endings
        self._next_offset = next_offset

    def rows(self, sql: str, cluster: str, database: str) -> list[dict[str, Any]]:
        if "orders." not in sql:
            return []
        if "next_offset" in sql:
            return [{"topic": "orders", "partition": 0, "next_offset": self._next_offset}]
        own = [{"topic": "(timers)", "ending": "consumed", "count": 9}]
        again = [{"topic": "orders", "ending": "redriven-consumed", "count": 9}]
        said = [{"topic": "orders", "ending": name, "count": count} for name, count in self._endings.items()]
        return said + own + again


@pytest.mark.parametrize(
    ("endings", "next_offset", "holds"),
    [
        ({"consumed": 2, "dead-lettered": 1}, 4, True),
        ({"consumed": 2}, 4, False),
        ({"consumed": 2, "dead-lettered": 2}, 4, False),
        ({"consumed": 2}, 2, False),
    ],
)
def test_a_sum_holds_only_if_every_record_was_read_and_ended_once(
    endings: dict[str, int], next_offset: int, holds: bool
) -> None:
    """Markers of transactions, timers and redriven letters are no records of the topic."""
    found = sums(cast(Room, Tables(endings, next_offset)), RECORDS)
    assert [(each.worker, each.topic) for each in found] == [("orders", "orders")]
    assert found[0].holds is holds
    assert total(found, "consumed") == 2


def test_only_questions_asked_after_the_moment_are_judged() -> None:
    """An answer on its way while keys are destroyed was given before; its question says when."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    before, later = (_attempt(moment + timedelta(seconds=seconds)) for seconds in (-0.1, 0.1))
    assert after([before, later], moment) == [later]
    assert before.lease_ends_at == before.sent_at + timedelta(seconds=10)


def test_one_byte_of_a_certificate_is_changed_and_no_more() -> None:
    """Still a well-formed token, so that only the signature can tell."""
    payload = b'{"request":"1","destroyed":102}'
    changed = one_byte_changed(f"head.{encoded(payload)}.tail").split(".")
    assert (changed[0], changed[2]) == ("head", "tail")
    assert decoded(changed[1]) == b'{"request":"1","destroyed":202}'


def _attempt(sent_at: datetime) -> Attempt:
    return Attempt(sent_at, sent_at, 1, 0, 10.0)
