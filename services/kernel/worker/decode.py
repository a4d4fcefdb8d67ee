"""From bytes to events: every contract a record must keep before anyone acts on it."""

import re
from functools import lru_cache

from pydantic import ValidationError

from schemas.envelope import Envelope, EnvelopeError, read_envelope
from schemas.errors import ContractError
from schemas.ids import RANDOM_ID
from schemas.privacy import Event
from schemas.strict_json import parse, violation
from schemas.topics import COMMANDS
from services.kernel.broker.interface import Record
from services.kernel.broker.partition import partition_of
from services.kernel.errors import RejectedRecord
from services.kernel.worker.worker import Received, Worker

TIMERS_TOPIC = "(timers)"
"""Where a worker's own timers are counted, beside the topics it reads."""
FOREIGN_BYTES = 64 * 1024
"""What a partner says is enumerations and references: nothing of it is longer."""
_SUBJECT = re.compile(RANDOM_ID)


class Decoder:
    """Decodes the records of the topics that one worker reads."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._topics = {topic.name: topic for topic in worker.reads}
        self._our_own = frozenset(self._topics)
        """Only our own workers write these: each record was made by one serialiser, from a checked event."""
        self._events = {(topic.name, event.type): event for topic in worker.reads for event in topic.events}
        self._events |= {(TIMERS_TOPIC, event.type): event for event in worker.timers}

    def decode(self, record: Record) -> Received:
        """Return the event of a record; raise `RejectedRecord` with a code and a field path, never a value."""
        try:
            envelope = read_envelope(record.headers)
        except EnvelopeError as error:
            raise RejectedRecord(error.code) from None
        event_class = self._event_class(record.topic, envelope.type)
        if record.value is None:
            raise RejectedRecord("value-missing")
        subject = self._subject(record, envelope)
        value = record.value if record.topic in self._our_own else _unambiguous(record.value)
        event = _event(event_class, value)
        obeyed = self._worker.rights is not None and record.topic == COMMANDS.name
        key = subject if obeyed else self._worker.handler.key(event, subject)
        return Received(record, envelope, event, subject, key)

    def _event_class(self, topic: str, event_type: str) -> type[Event]:
        event_class = self._events.get((topic, event_type))
        if event_class is None and topic not in self._topics and self._worker.topic_named:
            found = self._worker.topic_named(topic)
            if found is not None:
                self._topics[topic] = found
                self._events |= {(topic, event.type): event for event in found.events}
                event_class = self._events.get((topic, event_type))
        if event_class is None:
            raise RejectedRecord("type-unknown")
        return event_class

    def _subject(self, record: Record, envelope: Envelope) -> str:
        topic = self._topics.get(record.topic)
        if topic is None:
            return (record.key or b"").decode()
        if not topic.subject_keyed:
            return ""
        subject = envelope.subject or ""
        if not _SUBJECT.match(subject) or record.key != subject.encode():
            raise RejectedRecord("subject-not-key")
        if lane_of(subject, topic.partitions) != record.partition:
            # In another lane the erasure of this subject would not be serialised with this record.
            raise RejectedRecord("lane-wrong")
        return subject


def _unambiguous(value: bytes) -> bytes:
    """Return what a partner wrote if it can be read in one way only.

    Of two equal keys each parser takes another one: what we act on would not be what an auditor reads.
    """
    try:
        parse(value, FOREIGN_BYTES)
        return value
    except ContractError as error:
        code = error.code
    raise RejectedRecord(code)


def _event(event_class: type[Event], value: bytes) -> Event:
    try:
        return event_class.model_validate_json(value)
    except ValidationError as error:
        code, field_path = violation(error, event_class)
    raise RejectedRecord(code, field_path=field_path)


@lru_cache(maxsize=65_536)
def lane_of(subject: str, partitions: int) -> int:
    """Return the lane of a subject: the partition of its id in every subject-keyed topic."""
    return partition_of(subject.encode(), partitions)
