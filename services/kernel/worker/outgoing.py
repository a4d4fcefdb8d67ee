"""From what was decided to the rows that will be published."""

from collections import defaultdict
from datetime import datetime
from functools import cache

from schemas.envelope import Envelope, to_the_hour
from schemas.privacy import Event
from schemas.topics import LANES, TOPICS
from services.kernel.decision import Outgoing
from services.kernel.errors import StoreRejected
from services.kernel.ids import derived_id
from services.kernel.storage.interface import OutboxRow
from services.kernel.worker.decode import lane_of

MOST_BYTES = 768 * 1024
"""Refused before the commit: a row that Kafka refuses afterwards would block its lane for ever."""
_SUBJECT_KEYED = {topic.name for topic in TOPICS if topic.subject_keyed}


class Author:
    """Writes the outgoing rows of one worker."""

    def __init__(self, worker: str, policy: str) -> None:
        self._source = f"/workers/{worker}"
        self._policy = policy

    def rows(self, cause: str, outgoing: tuple[Outgoing, ...], at: datetime) -> list[OutboxRow]:
        """Return the rows that one event brings about; their ids depend on the cause alone."""
        ordinals: defaultdict[str, int] = defaultdict(int)
        rows = []
        for each in outgoing:
            event_type = each.event.type if each.event else each.type or ""
            event_id = derived_id(self._source, cause, event_type, ordinals[event_type])
            rows.append(self._row(each, event_id, event_type, at))
            ordinals[event_type] += 1
        return rows

    def _row(self, outgoing: Outgoing, event_id: str, event_type: str, at: datetime) -> OutboxRow:
        event = outgoing.event
        value = event.model_dump_json(exclude_none=True).encode() if event else None
        if value is not None and len(value) > MOST_BYTES:
            raise StoreRejected("54000", constraint="outgoing-too-large")
        envelope = Envelope(
            id=event_id,
            type=event_type,
            source=self._source,
            time=to_the_hour(at),
            subject=outgoing.key if outgoing.topic in _SUBJECT_KEYED else None,
            policy=self._policy,
            extensions=outgoing.headers,
        )
        return OutboxRow(
            topic=outgoing.topic,
            key=outgoing.key,
            value=value,
            headers=envelope.headers(),
            subject=outgoing.subject or (outgoing.key if outgoing.topic in _SUBJECT_KEYED else None),
            scope=event.scope if event else None,
            sealed=_sealed(type(event)) if event else (),
            partner=outgoing.partner,
        )


@cache
def _sealed(event: type[Event]) -> tuple[str, ...]:
    """Return the categories of what an event carries sealed."""
    return tuple(sorted({kind.category for kind in event.personal_fields().values()}))


def partition_for(row: OutboxRow) -> int | None:
    """Return where a row goes: its subject's lane, or wherever a partner's key falls."""
    return lane_of(row.key, LANES) if row.topic in _SUBJECT_KEYED else None
