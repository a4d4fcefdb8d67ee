"""From a record of `statistics` to what it says. Only our own worker writes there; it is checked all the same."""

from pydantic import ValidationError

from schemas.clicks import window_bounds
from schemas.envelope import EnvelopeError, read_envelope
from schemas.privacy import Event
from schemas.statistics import Counted, MassDropped
from schemas.strict_json import violation
from schemas.topics import STATISTICS
from services.kernel.broker.interface import Record
from services.kernel.errors import RejectedRecord

Statistic = Counted | MassDropped


def statistic_of(record: Record) -> Statistic:
    """Return the event of a record; raise `RejectedRecord` with a code, never a value."""
    event = _event(record)
    if not isinstance(event, Counted | MassDropped):
        raise RejectedRecord("type-unknown")
    if isinstance(event, Counted):
        _check_window(event.window)
    return event


def _event(record: Record) -> Event:
    try:
        event_class = STATISTICS.by_type.get(read_envelope(record.headers).type)
    except EnvelopeError as error:
        raise RejectedRecord(error.code) from None
    if event_class is None:
        raise RejectedRecord("type-unknown")
    if record.value is None:
        raise RejectedRecord("value-missing")
    try:
        return event_class.model_validate_json(record.value)
    except ValidationError as error:
        code, field_path = violation(error, event_class)
    raise RejectedRecord(code, field_path=field_path)


def _check_window(window: str) -> None:
    """Refuse a window that has the right form and that no calendar has."""
    try:
        window_bounds(window)
    except ValueError:
        raise RejectedRecord("window-unknown") from None
